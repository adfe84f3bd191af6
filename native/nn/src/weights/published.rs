//! What was published about each network of the zoo: order of inputs, scaling, grids and patches.
//!
//! It stands in for what a weights file does not say, above all for files that were converted from their authors' checkpoints.
//! Reflectance is unscaled in memory, so networks that were trained on stored integers times 0.0001 take values as they are.

use stfusion_core::source::Resampling;

use super::metadata::{Blend, PerBand};
use super::metadata::{Choice, CoarseGrid, Input, Metadata, Reference, Role, Scaling, Tile, ValueRange};

use Role::{CoarseImage, CoarsePair1, CoarsePair2, CoarseTarget, FinePair1, FinePair2, LowPair1, LowPair2};
use Role::{NoisyTarget, PanchromaticPair1, SharpenedTarget, Step};

/// How a network takes values.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Range {
    /// Unscaled reflectance as it is.
    AsIs,
    /// Reflectance 0 to 1 becomes -1 to 1; values beyond are moved to the limits.
    MinusOneToOne,
    /// Reflectance times a factor; nothing is moved.
    Times(f64),
    /// Reflectance 0 to 1 becomes 0 to 255; values beyond are moved to the limits.
    Bytes,
}

impl Range {
    fn to_value_range(self) -> ValueRange {
        let (scale, offset, clip) = match self {
            Range::AsIs => (1.0, 0.0, None),
            Range::MinusOneToOne => (2.0, -1.0, Some([0.0, 1.0])),
            Range::Times(factor) => (factor, 0.0, None),
            Range::Bytes => (255.0, 0.0, Some([0.0, 1.0])),
        };
        ValueRange { scale: PerBand::All(scale), offset: PerBand::All(offset), clip }
    }
}

/// An option that the published network is run with.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Setting {
    Count(u64),
    Number(f64),
    Word(&'static str),
}

/// What each input is fed.
type Inputs = &'static [&'static [Role]];

/// A published network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Network {
    /// Its id, as [`Metadata::network`] has it.
    pub id: &'static str,
    /// Its name in the literature.
    pub label: &'static str,
    citation: &'static str,
    doi: &'static str,
    inputs: Inputs,
    /// With two pairs, where weights take one or two.
    inputs_of_two_pairs: Option<Inputs>,
    range: Range,
    /// Whether images are less their means.
    centred: bool,
    coarse: CoarseGrid,
    tile: Tile,
    options: &'static [(&'static str, Setting)],
}

impl Network {
    /// What was published, as a weights file would say it. `references`: the option of that name, 1 or 2.
    pub(crate) fn metadata(&self, references: Option<&Choice>) -> Metadata {
        let two = references == Some(&Choice::Count(2));
        let inputs = self.inputs_of_two_pairs.filter(|_| two).unwrap_or(self.inputs);
        Metadata {
            network: self.id.into(),
            options: self
                .options
                .iter()
                .map(|&(name, setting)| {
                    let choice = match setting {
                        Setting::Count(count) => Choice::Count(count),
                        Setting::Number(number) => Choice::Number(number),
                        Setting::Word(word) => Choice::Word(word.into()),
                    };
                    (name.to_owned(), choice)
                })
                .collect(),
            scaling: Scaling {
                fine: Some(self.range.to_value_range()),
                coarse: Some(self.range.to_value_range()),
                centred: self.centred.then_some(true),
            },
            inputs: inputs.iter().map(|images| Input { name: String::new(), images: images.to_vec() }).collect(),
            coarse: Some(self.coarse),
            tile: self.tile,
            reference: Reference { citation: self.citation.into(), doi: self.doi.into() },
            ..Metadata::default()
        }
    }
}

const ON_FINE: CoarseGrid = CoarseGrid::Fine { resampling: Resampling::Bilinear };
const NO_TILE: Tile = Tile { size: None, fixed: None, multiple: None, overlap: None, blend: None };

const fn patch(size: usize) -> Tile {
    Tile { size: Some(size), ..NO_TILE }
}

const fn fixed(size: usize) -> Tile {
    Tile { size: Some(size), fixed: Some(true), ..NO_TILE }
}

const fn multiples(size: usize, multiple: usize) -> Tile {
    Tile { size: Some(size), multiple: Some(multiple), ..NO_TILE }
}

/// A network on which nothing but its name is known; the table says the rest.
const PLAIN: Network = Network {
    id: "",
    label: "",
    citation: "",
    doi: "",
    inputs: &[],
    inputs_of_two_pairs: None,
    range: Range::AsIs,
    centred: false,
    coarse: ON_FINE,
    tile: NO_TILE,
    options: &[],
};

/// Every network for the fusion of images, in the order of their names.
pub const NETWORKS: &[Network] = &[
    Network {
        id: "dcstfn",
        label: "DCSTFN",
        citation: "Tan, Z., Yue, P., Di, L., Tang, J., 2018. Deriving high spatiotemporal remote sensing images using deep convolutional network. Remote Sensing 10, 1066.",
        doi: "10.3390/rs10071066",
        inputs: &[&[CoarseTarget], &[CoarsePair1], &[FinePair1]],
        coarse: CoarseGrid::Coarse { factor: 16 },
        tile: Tile { multiple: Some(16), ..NO_TILE },
        ..PLAIN
    },
    Network {
        id: "densestf",
        label: "DenseSTF",
        citation: "Ao, Z., Sun, Y., Pan, X., Xin, Q., 2022. Deep learning-based spatiotemporal data fusion using a patch-to-pixel mapping strategy and model comparisons. IEEE Transactions on Geoscience and Remote Sensing 60.",
        doi: "10.1109/TGRS.2022.3154406",
        inputs: &[&[FinePair1, CoarsePair1, CoarseTarget]],
        range: Range::Times(1.0 / 0.6),
        centred: true,
        tile: fixed(64),
        ..PLAIN
    },
    Network {
        id: "diffstsf",
        label: "DiffSTSF",
        citation: "Wei, J., Gan, L., Tang, W., Li, M., Song, Y., 2024. Diffusion models for spatio-temporal-spectral fusion of homogeneous Gaofen-1 satellite platforms. International Journal of Applied Earth Observation and Geoinformation 128, 103752.",
        doi: "10.1016/j.jag.2024.103752",
        inputs: &[&[NoisyTarget], &[Step], &[CoarseTarget], &[PanchromaticPair1], &[FinePair1]],
        tile: fixed(128),
        options: &[
            ("train_steps", Setting::Count(1000)),
            ("steps", Setting::Count(250)),
            ("spacing", Setting::Word("strided")),
            ("schedule", Setting::Word("cosine")),
            ("objective", Setting::Word("pred_noise")),
            ("sampler", Setting::Word("ddpm")),
            ("variance", Setting::Word("learnt")),
            ("put_back", Setting::Word("rederived")),
        ],
        ..PLAIN
    },
    Network {
        id: "ecpw_stfn",
        label: "ECPW-STFN",
        citation: "Zhang, X., Li, S., Tan, Z., Li, X., 2024. Enhanced wavelet based spatiotemporal fusion networks using cross-paired remote sensing images. ISPRS Journal of Photogrammetry and Remote Sensing 211.",
        doi: "10.1016/j.isprsjprs.2024.04.016",
        inputs: &[&[FinePair1], &[CoarseTarget]],
        tile: multiples(200, 2),
        ..PLAIN
    },
    Network {
        id: "edcstfn",
        label: "EDCSTFN",
        citation: "Tan, Z., Di, L., Zhang, M., Guo, L., Gao, M., 2019. An enhanced deep convolutional model for spatiotemporal image fusion. Remote Sensing 11, 2898.",
        doi: "10.3390/rs11242898",
        inputs: &[&[CoarsePair1], &[FinePair1], &[CoarseTarget]],
        inputs_of_two_pairs: Some(&[&[CoarsePair1], &[FinePair1], &[CoarsePair2], &[FinePair2], &[CoarseTarget]]),
        coarse: CoarseGrid::Coarse { factor: 16 },
        tile: multiples(160, 16),
        ..PLAIN
    },
    Network {
        id: "gan_stfm",
        label: "GAN-STFM",
        citation: "Tan, Z., Gao, M., Li, X., Jiang, L., 2022. A flexible reference-insensitive spatiotemporal fusion model for remote sensing images using conditional generative adversarial network. IEEE Transactions on Geoscience and Remote Sensing 60.",
        doi: "10.1109/TGRS.2021.3050551",
        inputs: &[&[CoarseTarget], &[FinePair1]],
        tile: patch(256),
        ..PLAIN
    },
    Network {
        id: "mlff_gan",
        label: "MLFF-GAN",
        citation: "Song, B., Liu, P., Li, J., Wang, L., Zhang, L., He, G., Chen, L., Liu, J., 2022. MLFF-GAN: a multilevel feature fusion with GAN for spatiotemporal remote sensing images. IEEE Transactions on Geoscience and Remote Sensing 60.",
        doi: "10.1109/TGRS.2022.3169916",
        inputs: &[&[CoarsePair1], &[FinePair1], &[CoarseTarget]],
        tile: multiples(256, 16),
        ..PLAIN
    },
    Network {
        id: "mustfn",
        label: "MUSTFN",
        citation: "Qin, P., Huang, H., Tang, H., Wang, J., Liu, C., 2022. MUSTFN: a spatiotemporal fusion method for multi-scale and multi-sensor remote sensing images based on a convolutional neural network. International Journal of Applied Earth Observation and Geoinformation 115, 103113.",
        doi: "10.1016/j.jag.2022.103113",
        inputs: &[&[FinePair1, FinePair2], &[CoarsePair1, CoarseTarget, CoarsePair2]],
        tile: multiples(256, 16),
        ..PLAIN
    },
    Network {
        id: "opgan",
        label: "OPGAN",
        citation: "Song, Y., Zhang, H., Zhang, L., 2020. Remote sensing image spatio-temporal fusion via a generative adversarial network through one prior image pair. IEEE International Geoscience and Remote Sensing Symposium (IGARSS), 7009-7012.",
        doi: "10.1109/IGARSS39084.2020.9324101",
        inputs: &[&[CoarsePair1], &[CoarseTarget], &[FinePair1]],
        range: Range::MinusOneToOne,
        ..PLAIN
    },
    Network {
        id: "rcan",
        label: "RCAN-FSDAF",
        citation: "Zhang, Y., Li, K., Li, K., Wang, L., Zhong, B., Fu, Y., 2018. Image super-resolution using very deep residual channel attention networks. European Conference on Computer Vision.",
        doi: "10.1007/978-3-030-01234-2_18",
        inputs: &[&[CoarseImage]],
        range: Range::Bytes,
        coarse: CoarseGrid::Coarse { factor: 8 },
        ..PLAIN
    },
    Network {
        id: "rsfn",
        label: "RSFN",
        citation: "Tan, Z., Gao, M., Yuan, J., Jiang, L., Duan, H., 2022. A robust model for MODIS and Landsat image fusion considering input noise. IEEE Transactions on Geoscience and Remote Sensing 60.",
        doi: "10.1109/TGRS.2022.3145086",
        inputs: &[&[FinePair1], &[FinePair2], &[CoarseTarget]],
        ..PLAIN
    },
    Network {
        id: "sdcs",
        label: "SDCS",
        citation: "Liu, P., Wang, L., Chen, J., Cui, Y., 2024. Semiblind compressed sensing: a bidirectional-driven method for spatiotemporal fusion of remote sensing images. IEEE Journal of Selected Topics in Applied Earth Observations and Remote Sensing 17.",
        doi: "10.1109/JSTARS.2024.3463750",
        inputs: &[&[SharpenedTarget], &[CoarseTarget], &[FinePair1]],
        tile: multiples(256, 16),
        ..PLAIN
    },
    Network {
        id: "srsf_gan",
        label: "SRSF-GAN",
        inputs: &[&[FinePair1], &[CoarseTarget]],
        tile: Tile { multiple: Some(8), ..NO_TILE },
        ..PLAIN
    },
    Network {
        id: "stfdcnn",
        label: "STFDCNN",
        citation: "Song, H., Liu, Q., Wang, G., Hang, R., Huang, B., 2018. Spatiotemporal satellite image fusion using deep convolutional neural networks. IEEE Journal of Selected Topics in Applied Earth Observations and Remote Sensing 11, 821-829.",
        doi: "10.1109/JSTARS.2018.2797894",
        inputs: &[&[CoarsePair1], &[CoarseTarget], &[CoarsePair2], &[LowPair1], &[LowPair2], &[FinePair1], &[FinePair2]],
        coarse: CoarseGrid::Coarse { factor: 8 },
        ..PLAIN
    },
    Network {
        id: "stfdiff",
        label: "STFDiff",
        citation: "Huang, H., He, W., Zhang, H., Xia, Y., Zhang, L., 2024. STFDiff: remote sensing image spatiotemporal fusion with diffusion models. Information Fusion 111, 102505.",
        doi: "10.1016/j.inffus.2024.102505",
        inputs: &[&[CoarsePair1], &[CoarseTarget], &[FinePair1], &[NoisyTarget], &[Step]],
        inputs_of_two_pairs: Some(&[&[CoarsePair1], &[CoarseTarget], &[CoarsePair2], &[FinePair1], &[FinePair2], &[NoisyTarget], &[Step]]),
        range: Range::MinusOneToOne,
        tile: multiples(256, 4),
        options: &[
            ("train_steps", Setting::Count(100)),
            ("steps", Setting::Count(50)),
            ("schedule", Setting::Word("cosine")),
            ("objective", Setting::Word("pred_x0")),
            ("eta", Setting::Number(0.0)),
            ("activation", Setting::Word("relu")),
        ],
        ..PLAIN
    },
    Network {
        id: "stfgan",
        label: "STFGAN",
        citation: "Zhang, H., Song, Y., Han, C., Zhang, L., 2021. Remote sensing image spatiotemporal fusion using a generative adversarial network. IEEE Transactions on Geoscience and Remote Sensing 59.",
        doi: "10.1109/TGRS.2020.3010530",
        inputs: &[&[CoarsePair1], &[CoarseTarget], &[CoarsePair2], &[FinePair1], &[FinePair2]],
        range: Range::MinusOneToOne,
        coarse: CoarseGrid::Coarse { factor: 4 },
        tile: Tile { multiple: Some(4), ..NO_TILE },
        ..PLAIN
    },
    Network {
        id: "stfmlp",
        label: "StfMLP",
        citation: "Chen, G., Lu, H., Di, D., Li, L., Emam, M., Jing, W., 2023. StfMLP: spatiotemporal fusion multilayer perceptron for remote-sensing images. IEEE Geoscience and Remote Sensing Letters 20.",
        doi: "10.1109/LGRS.2022.3230720",
        inputs: &[&[CoarsePair1], &[CoarseTarget], &[CoarsePair2], &[FinePair1], &[FinePair2]],
        tile: fixed(40),
        ..PLAIN
    },
    Network {
        id: "stfnet",
        label: "StfNet",
        citation: "Liu, X., Deng, C., Chanussot, J., Hong, D., Zhao, B., 2019. StfNet: a two-stream convolutional neural network for spatiotemporal image fusion. IEEE Transactions on Geoscience and Remote Sensing 57, 6552-6564.",
        doi: "10.1109/TGRS.2019.2907310",
        inputs: &[&[CoarsePair1], &[CoarseTarget], &[CoarsePair2], &[FinePair1], &[FinePair2]],
        ..PLAIN
    },
    Network {
        id: "stm_stfnet",
        label: "STM-STFNet",
        inputs: &[&[CoarsePair1], &[FinePair1], &[CoarsePair2], &[FinePair2], &[CoarseTarget]],
        tile: multiples(128, 128),
        ..PLAIN
    },
    Network {
        id: "swinstfm",
        label: "SwinSTFM",
        citation: "Chen, G., Jiao, P., Hu, Q., Xiao, L., Ye, Z., 2022. SwinSTFM: remote sensing spatiotemporal fusion using Swin Transformer. IEEE Transactions on Geoscience and Remote Sensing 60.",
        doi: "10.1109/TGRS.2022.3182809",
        inputs: &[&[CoarsePair1], &[FinePair1], &[CoarseTarget]],
        range: Range::MinusOneToOne,
        tile: Tile { size: Some(256), fixed: Some(true), multiple: None, overlap: Some(128), blend: Some(Blend::Centre) },
        ..PLAIN
    },
];

/// The network of that id.
pub fn by_id(id: &str) -> Option<&'static Network> {
    NETWORKS.iter().find(|n| n.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_a_description_that_can_be_written_and_read() {
        for network in NETWORKS {
            for references in [None, Some(&Choice::Count(2))] {
                let metadata = network.metadata(references);
                assert_eq!(Metadata::from_json(&metadata.to_json()).unwrap(), metadata, "{}", network.id);
                assert!(!metadata.inputs.is_empty());
            }
        }
        assert!(NETWORKS.windows(2).all(|w| w[0].id < w[1].id), "in the order of their ids, none twice");
    }

    #[test]
    fn the_number_of_pairs_decides_the_inputs() {
        let of = |references| {
            let options = [("references".to_owned(), Choice::Count(references))].into();
            Metadata { network: "edcstfn".into(), options, ..Metadata::default() }.completed().inputs.len()
        };
        assert_eq!((of(1), of(2)), (3, 5));
    }
}
