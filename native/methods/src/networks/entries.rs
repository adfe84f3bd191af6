//! The networks that are methods.
//!
//! Networks for other tasks are in the zoo but not here.

use stfusion_core::method::{ExtraImage, Family, MethodInfo, Promises, Reference};
use stfusion_core::source::Resampling;
use stfusion_nn::zoo;

use super::{FusionNetwork, Origin, Parameters};

/// What becomes of coarse images before a network sees them.
#[derive(Clone, Copy)]
enum Coarse {
    /// Resampled to the fine grid.
    Fine,
    /// Means of blocks of fine pixels.
    Blocks,
}

/// Who a network is.
struct Entry {
    id: &'static str,
    label: &'static str,
    summary: &'static str,
    tags: &'static [&'static str],
    references: &'static [Reference],
    min_pairs: usize,
    coarse: Coarse,
    readme: &'static str,
}

impl FusionNetwork {
    /// With what its pairs may have beside their images.
    const fn taking(mut self, extra_images: &'static [ExtraImage]) -> FusionNetwork {
        self.info.extra_images = extra_images;
        self
    }
}

impl Entry {
    const fn from(self, origin: Origin) -> FusionNetwork {
        FusionNetwork {
            info: MethodInfo {
                id: self.id,
                label: self.label,
                summary: self.summary,
                family: Family::DeepLearning,
                tags: self.tags,
                references: self.references,
                min_pairs: self.min_pairs,
                max_pairs: None,
                needs_dates: false,
                extra_images: &[],
                coarse_resampling: match self.coarse {
                    Coarse::Fine => Resampling::Bilinear,
                    Coarse::Blocks => Resampling::Nearest,
                },
                promises: Promises { keeps_unchanged: false, trained_elsewhere: true, bands_apart: false },
                parameters: Parameters::SPECS,
                readme: self.readme,
            },
            origin,
        }
    }
}

/// Every network that is a method.
pub static ALL: &[FusionNetwork] = &[
    Entry {
        id: "edcstfn",
        label: "EDCSTFN",
        summary: "Convolutional encoders of the fine image and of the coarse change, decoded together; one pair or two",
        tags: &["enhanced deep convolutional spatiotemporal fusion network", "deep learning", "CNN", "Landsat", "MODIS", "encoder decoder"],
        references: &[Reference { citation: "Tan, Z., Di, L., Zhang, M., Guo, L., Gao, M. (2019). An enhanced deep convolutional model for spatiotemporal image fusion. Remote Sensing 11, 2898", doi: "10.3390/rs11242898" }],
        min_pairs: 1,
        coarse: Coarse::Blocks,
        readme: include_str!("edcstfn.md"),
    }
    .from(Origin::Zoo(&zoo::edcstfn::EDCSTFN)),
    Entry {
        id: "stfnet",
        label: "StfNet",
        summary: "Two small convolutional networks turn coarse changes into fine ones, forward and backward in time",
        tags: &["two-stream convolutional neural network", "deep learning", "CNN", "Landsat", "MODIS", "time series"],
        references: &[Reference { citation: "Liu, X., Deng, C., Chanussot, J., Hong, D., Zhao, B. (2019). StfNet: a two-stream convolutional neural network for spatiotemporal image fusion. IEEE Transactions on Geoscience and Remote Sensing 57, 6552-6564", doi: "10.1109/TGRS.2019.2907310" }],
        min_pairs: 2,
        coarse: Coarse::Fine,
        readme: include_str!("stfnet.md"),
    }
    .from(Origin::Zoo(&zoo::stfnet::STFNET)),
    Entry {
        id: "gan_stfm",
        label: "GAN-STFM",
        summary: "Adversarial network that needs one fine image of any date and the coarse target, no coarse reference",
        tags: &["generative adversarial network", "GAN", "deep learning", "Landsat", "MODIS", "reference insensitive"],
        references: &[Reference { citation: "Tan, Z., Gao, M., Li, X., Jiang, L. (2022). A flexible reference-insensitive spatiotemporal fusion model for remote sensing images using conditional generative adversarial network. IEEE Transactions on Geoscience and Remote Sensing 60", doi: "10.1109/TGRS.2021.3050551" }],
        min_pairs: 1,
        coarse: Coarse::Fine,
        readme: include_str!("gan_stfm.md"),
    }
    .from(Origin::Zoo(&zoo::gan_stfm::GAN_STFM)),
    Entry {
        id: "swinstfm",
        label: "SwinSTFM",
        summary: "Transformer whose attention in space and time moves the coarse change to its place in the fine image",
        tags: &["Swin Transformer", "attention", "deep learning", "Landsat", "MODIS", "vision transformer"],
        references: &[Reference { citation: "Chen, G., Jiao, P., Hu, Q., Xiao, L., Ye, Z. (2022). SwinSTFM: remote sensing spatiotemporal fusion using Swin Transformer. IEEE Transactions on Geoscience and Remote Sensing 60", doi: "10.1109/TGRS.2022.3182809" }],
        min_pairs: 1,
        coarse: Coarse::Fine,
        readme: include_str!("swinstfm.md"),
    }
    .from(Origin::Zoo(&zoo::swin_stfm::SWIN_STFM)),
    Entry {
        id: "mlff_gan",
        label: "MLFF-GAN",
        summary: "Adversarial network that mixes fine and coarse features at five scales where the coarse images differ",
        tags: &["multilevel feature fusion", "generative adversarial network", "GAN", "deep learning", "Landsat", "MODIS"],
        references: &[Reference { citation: "Song, B., Liu, P., Li, J., Wang, L., Zhang, L., He, G., Chen, L., Liu, J. (2022). MLFF-GAN: a multilevel feature fusion with GAN for spatiotemporal remote sensing images. IEEE Transactions on Geoscience and Remote Sensing 60", doi: "10.1109/TGRS.2022.3169916" }],
        min_pairs: 1,
        coarse: Coarse::Fine,
        readme: include_str!("mlff_gan.md"),
    }
    .from(Origin::Zoo(&zoo::mlff_gan::MLFF_GAN)),
    Entry {
        id: "ecpw_stfn",
        label: "ECPW-STFN",
        summary: "Wavelet parts of the fine image and of its difference to the coarse target, joined and refined",
        tags: &["wavelet", "deep learning", "CNN", "channel attention", "Landsat", "MODIS"],
        references: &[Reference { citation: "Zhang, X., Li, S., Tan, Z., Li, X. (2024). Enhanced wavelet based spatiotemporal fusion networks using cross-paired remote sensing images. ISPRS Journal of Photogrammetry and Remote Sensing 211", doi: "10.1016/j.isprsjprs.2024.04.016" }],
        min_pairs: 1,
        coarse: Coarse::Fine,
        readme: include_str!("ecpw_stfn.md"),
    }
    .from(Origin::Zoo(&zoo::ecpw_stfn::ECPW_STFN)),
    Entry {
        id: "rsfn",
        label: "RSFN",
        summary: "Two fine images, each weighted by attention maps where it suits the coarse target, decoded with it",
        tags: &["attention", "generative adversarial network", "GAN", "deep learning", "Landsat", "MODIS"],
        references: &[Reference { citation: "Tan, Z., Gao, M., Yuan, J., Jiang, L., Duan, H. (2022). A robust model for MODIS and Landsat image fusion considering input noise. IEEE Transactions on Geoscience and Remote Sensing 60", doi: "10.1109/TGRS.2022.3145086" }],
        min_pairs: 2,
        coarse: Coarse::Fine,
        readme: include_str!("rsfn.md"),
    }
    .from(Origin::Zoo(&zoo::rsfn::RSFN)),
    Entry {
        id: "dcstfn",
        label: "DCSTFN",
        summary: "Fine features less the coarse ones of the pair plus those of the target, decoded; one network per band",
        tags: &["deep convolutional spatiotemporal fusion network", "deep learning", "CNN", "Landsat", "MODIS", "single band"],
        references: &[Reference { citation: "Tan, Z., Yue, P., Di, L., Tang, J. (2018). Deriving high spatiotemporal remote sensing images using deep convolutional network. Remote Sensing 10, 1066", doi: "10.3390/rs10071066" }],
        min_pairs: 1,
        coarse: Coarse::Blocks,
        readme: include_str!("dcstfn.md"),
    }
    .from(Origin::Zoo(&zoo::dcstfn::DCSTFN)),
    Entry {
        id: "srsf_gan",
        label: "SRSF-GAN",
        summary: "Super-resolution of the coarse target, fused scale by scale with one fine image; adversarial training",
        tags: &["super-resolution", "generative adversarial network", "GAN", "deep learning", "Landsat", "MODIS", "downscaling"],
        references: &[Reference { citation: "Network as published by Sun, Cui, Liu, Yan (2026). Information Fusion", doi: "10.1016/j.inffus.2025.103675" }],
        min_pairs: 1,
        coarse: Coarse::Fine,
        readme: include_str!("srsf_gan.md"),
    }
    .from(Origin::Zoo(&zoo::srsf_gan::SRSF_GAN)),
    Entry {
        id: "stfmlp",
        label: "StfMLP",
        summary: "Perceptrons over bands and pixels at four scales predict the fine change from both sides in time",
        tags: &["multilayer perceptron", "MLP", "deep learning", "Landsat", "MODIS", "time series"],
        references: &[Reference { citation: "Chen, G., Lu, H., Di, D., Li, L., Emam, M., Jing, W. (2023). StfMLP: spatiotemporal fusion multilayer perceptron for remote-sensing images. IEEE Geoscience and Remote Sensing Letters 20", doi: "10.1109/LGRS.2022.3230720" }],
        min_pairs: 2,
        coarse: Coarse::Fine,
        readme: include_str!("stfmlp.md"),
    }
    .from(Origin::Zoo(&zoo::stfmlp::STFMLP)),
    Entry {
        id: "opgan",
        label: "OPGAN",
        summary: "Three residual branches for the change, the sensor difference and the fine image; one pair",
        tags: &["generative adversarial network", "GAN", "one pair", "deep learning", "Landsat", "MODIS", "residual network"],
        references: &[Reference { citation: "Song, Y., Zhang, H., Zhang, L. (2020). Remote sensing image spatio-temporal fusion via a generative adversarial network through one prior image pair. IEEE International Geoscience and Remote Sensing Symposium (IGARSS), 7009-7012", doi: "10.1109/IGARSS39084.2020.9324101" }],
        min_pairs: 1,
        coarse: Coarse::Fine,
        readme: include_str!("opgan.md"),
    }
    .from(Origin::Zoo(&zoo::opgan::OPGAN)),
    Entry {
        id: "stfgan",
        label: "STFGAN",
        summary: "Residual networks for three coarse and two fine images, coarse features enlarged by four, then merged",
        tags: &["generative adversarial network", "GAN", "super-resolution", "deep learning", "Landsat", "MODIS", "residual network"],
        references: &[Reference { citation: "Zhang, H., Song, Y., Han, C., Zhang, L. (2021). Remote sensing image spatiotemporal fusion using a generative adversarial network. IEEE Transactions on Geoscience and Remote Sensing 59", doi: "10.1109/TGRS.2020.3010530" }],
        min_pairs: 2,
        coarse: Coarse::Blocks,
        readme: include_str!("stfgan.md"),
    }
    .from(Origin::Zoo(&zoo::stfgan::STFGAN)),
    Entry {
        id: "stm_stfnet",
        label: "STM-STFNet",
        summary: "Swin Transformer for the fine change and dilated convolutions for detail, from a pair on either side",
        tags: &["Swin Transformer", "attention", "deep learning", "Landsat", "MODIS", "time series"],
        references: &[Reference { citation: "Published code, no paper known: zhonhua/STM-STFNet, commit 672a3df", doi: "" }],
        min_pairs: 2,
        coarse: Coarse::Fine,
        readme: include_str!("stm_stfnet.md"),
    }
    .from(Origin::Zoo(&zoo::stm_stfnet::STM_STFNET)),
    Entry {
        id: "stfdiff",
        label: "STFDiff",
        summary: "Diffusion model that draws the target out of noise in many steps, guided by one pair",
        tags: &["diffusion model", "DDIM", "generative", "deep learning", "Landsat", "MODIS"],
        references: &[Reference { citation: "Huang, H., He, W., Zhang, H., Xia, Y., Zhang, L. (2024). STFDiff: remote sensing image spatiotemporal fusion with diffusion models. Information Fusion 111, 102505", doi: "10.1016/j.inffus.2024.102505" }],
        min_pairs: 1,
        coarse: Coarse::Fine,
        readme: include_str!("stfdiff.md"),
    }
    .from(Origin::Zoo(&zoo::stfdiff::STFDIFF)),
    Entry {
        id: "diffstsf",
        label: "DiffSTSF",
        summary: "Diffusion model that draws the target out of noise, guided by one pair and its panchromatic image",
        tags: &["diffusion model", "DDPM", "DDIM", "generative", "deep learning", "panchromatic", "Gaofen-1", "pan-sharpening"],
        references: &[Reference { citation: "Wei, J., Gan, L., Tang, W., Li, M., Song, Y. (2024). Diffusion models for spatio-temporal-spectral fusion of homogeneous Gaofen-1 satellite platforms. International Journal of Applied Earth Observation and Geoinformation 128, 103752", doi: "10.1016/j.jag.2024.103752" }],
        min_pairs: 1,
        coarse: Coarse::Fine,
        readme: include_str!("diffstsf.md"),
    }
    .from(Origin::Zoo(&zoo::diffstsf::DIFFSTSF))
    .taking(&[ExtraImage::Panchromatic]),
    Entry {
        id: "stfdcnn",
        label: "STFDCNN",
        summary: "Two networks, coarse to a resolution between and on to fine, each followed by changes from two pairs",
        tags: &["deep convolutional neural network", "deep learning", "CNN", "super-resolution", "Landsat", "MODIS", "two stages"],
        references: &[Reference { citation: "Song, H., Liu, Q., Wang, G., Hang, R., Huang, B. (2018). Spatiotemporal satellite image fusion using deep convolutional neural networks. IEEE Journal of Selected Topics in Applied Earth Observations and Remote Sensing 11, 821-829", doi: "10.1109/JSTARS.2018.2797894" }],
        min_pairs: 2,
        coarse: Coarse::Fine,
        readme: include_str!("stfdcnn.md"),
    }
    .from(Origin::Zoo(&zoo::stfdcnn::STFDCNN)),
    Entry {
        id: "mustfn",
        label: "MUSTFN",
        summary: "Features at three scales, over blocks and far around, of two fine and three coarse images, weighted by channel",
        tags: &["multi-scale", "multi-sensor", "deep learning", "CNN", "channel attention", "Landsat", "MODIS", "pyramid pooling"],
        references: &[Reference { citation: "Qin, P., Huang, H., Tang, H., Wang, J., Liu, C. (2022). MUSTFN: a spatiotemporal fusion method for multi-scale and multi-sensor remote sensing images based on a convolutional neural network. International Journal of Applied Earth Observation and Geoinformation 115, 103113", doi: "10.1016/j.jag.2022.103113" }],
        min_pairs: 2,
        coarse: Coarse::Fine,
        readme: include_str!("mustfn.md"),
    }
    .from(Origin::Zoo(&zoo::mustfn::MUSTFN)),
    Entry {
        id: "sdcs",
        label: "SDCS",
        summary: "A first estimate of the target, corrected at five scales by what the coarse and fine images say of it",
        tags: &["compressed sensing", "deep learning", "CNN", "adaptive instance normalisation", "Landsat", "MODIS", "one pair"],
        references: &[Reference { citation: "Liu, P., Wang, L., Chen, J., Cui, Y. (2024). Semiblind compressed sensing: a bidirectional-driven method for spatiotemporal fusion of remote sensing images. IEEE Journal of Selected Topics in Applied Earth Observations and Remote Sensing 17", doi: "10.1109/JSTARS.2024.3463750" }],
        min_pairs: 1,
        coarse: Coarse::Fine,
        readme: include_str!("sdcs.md"),
    }
    .from(Origin::Zoo(&zoo::sdcs::SDCS)),
    Entry {
        id: "densestf",
        label: "DenseSTF",
        summary: "A densely connected network predicts every pixel from the patch around it; one pair; slow",
        tags: &["patch to pixel", "DenseNet", "deep learning", "CNN", "Landsat", "MODIS", "one pair"],
        references: &[Reference { citation: "Ao, Z., Sun, Y., Pan, X., Xin, Q. (2022). Deep learning-based spatiotemporal data fusion using a patch-to-pixel mapping strategy and model comparisons. IEEE Transactions on Geoscience and Remote Sensing 60", doi: "10.1109/TGRS.2022.3154406" }],
        min_pairs: 1,
        coarse: Coarse::Fine,
        readme: include_str!("densestf.md"),
    }
    .from(Origin::Zoo(&zoo::densestf::DENSESTF)),
    Entry {
        id: "onnx",
        label: "ONNX network",
        summary: "Any fusion network that its author exported to ONNX, run on one pair or two without Python",
        tags: &["ONNX", "deep learning", "neural network", "PyTorch", "TensorFlow", "custom model", "own weights"],
        references: &[],
        min_pairs: 1,
        coarse: Coarse::Fine,
        readme: include_str!("onnx.md"),
    }
    .from(Origin::Onnx)
    .taking(&[ExtraImage::Panchromatic]),
];
