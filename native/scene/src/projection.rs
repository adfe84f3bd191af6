//! The map projections of the two sensors: UTM for the fine image, the MODIS sinusoidal for the coarse one.
//!
//! [`Utm`] is the transverse Mercator of the WGS 84 ellipsoid by Krueger's series in the third flattening `n`, to the
//! order `n^4` (Krueger 1912; the coefficients as in Karney 2011, "Transverse Mercator with an accuracy of a few
//! nanometers", eqs. 35 and 36); within 40 degrees of the central meridian the error is far below a millimetre.
//! [`Sinusoidal`] is the sphere of the MODIS land products; as everywhere, geodetic latitude is used on it unchanged.

/// Longitude and latitude in degrees, WGS 84.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geographic {
    /// Degrees east.
    pub lon: f64,
    /// Degrees north.
    pub lat: f64,
}

/// A northern UTM zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Utm {
    central_meridian: f64,
    zone: u8,
}

const FLATTENING: f64 = 1.0 / 298.257_223_563;
const N: f64 = FLATTENING / (2.0 - FLATTENING);
const SEMI_MAJOR: f64 = 6_378_137.0;
const SCALE_FACTOR: f64 = 0.9996;
const FALSE_EASTING: f64 = 500_000.0;
const N2: f64 = N * N;
const N3: f64 = N * N * N;
const N4: f64 = N * N * N * N;
/// Radius of the rectifying sphere times the scale factor, in metres.
const RECTIFYING: f64 = SCALE_FACTOR * SEMI_MAJOR / (1.0 + N) * (1.0 + N2 / 4.0 + N4 / 64.0);
const ALPHA: [f64; 4] = [
    N / 2.0 - 2.0 * N2 / 3.0 + 5.0 * N3 / 16.0 + 41.0 * N4 / 180.0,
    13.0 * N2 / 48.0 - 3.0 * N3 / 5.0 + 557.0 * N4 / 1440.0,
    61.0 * N3 / 240.0 - 103.0 * N4 / 140.0,
    49_561.0 * N4 / 161_280.0,
];
const BETA: [f64; 4] = [
    N / 2.0 - 2.0 * N2 / 3.0 + 37.0 * N3 / 96.0 - N4 / 360.0,
    N2 / 48.0 + N3 / 15.0 - 437.0 * N4 / 1440.0,
    17.0 * N3 / 480.0 - 37.0 * N4 / 840.0,
    4397.0 * N4 / 161_280.0,
];

impl Utm {
    /// The northern zone of this number, 1 to 60.
    pub fn north(zone: u8) -> Self {
        Self { central_meridian: f64::from(zone) * 6.0 - 183.0, zone }
    }

    /// Its EPSG code as GDAL reads it, `EPSG:32633` for zone 33.
    pub fn crs(&self) -> String {
        format!("EPSG:{}", 32_600 + u32::from(self.zone))
    }

    /// Easting and northing in metres.
    pub fn forward(&self, at: Geographic) -> (f64, f64) {
        let eccentricity = (FLATTENING * (2.0 - FLATTENING)).sqrt();
        let phi = at.lat.to_radians();
        let lambda = (at.lon - self.central_meridian).to_radians();
        let tau = phi.tan();
        let sigma = (eccentricity * (eccentricity * tau / (1.0 + tau * tau).sqrt()).atanh()).sinh();
        let conformal = tau * (1.0 + sigma * sigma).sqrt() - sigma * (1.0 + tau * tau).sqrt();
        let xi0 = conformal.atan2(lambda.cos());
        let eta0 = (lambda.sin() / conformal.hypot(lambda.cos())).asinh();
        let (mut xi, mut eta) = (xi0, eta0);
        for (j, a) in ALPHA.iter().enumerate() {
            let k = 2.0 * (j + 1) as f64;
            xi += a * (k * xi0).sin() * (k * eta0).cosh();
            eta += a * (k * xi0).cos() * (k * eta0).sinh();
        }
        (FALSE_EASTING + RECTIFYING * eta, RECTIFYING * xi)
    }

    /// Longitude and latitude of an easting and northing in metres.
    pub fn inverse(&self, easting: f64, northing: f64) -> Geographic {
        let eccentricity2 = FLATTENING * (2.0 - FLATTENING);
        let eccentricity = eccentricity2.sqrt();
        let xi = northing / RECTIFYING;
        let eta = (easting - FALSE_EASTING) / RECTIFYING;
        let (mut xi0, mut eta0) = (xi, eta);
        for (j, b) in BETA.iter().enumerate() {
            let k = 2.0 * (j + 1) as f64;
            xi0 -= b * (k * xi).sin() * (k * eta).cosh();
            eta0 -= b * (k * xi).cos() * (k * eta).sinh();
        }
        let conformal = xi0.sin() / eta0.sinh().hypot(xi0.cos());
        let lambda = eta0.sinh().atan2(xi0.cos());
        let mut tau = conformal / (1.0 - eccentricity2);
        for _ in 0..4 {
            let root = (1.0 + tau * tau).sqrt();
            let sigma = (eccentricity * (eccentricity * tau / root).atanh()).sinh();
            let guess = tau * (1.0 + sigma * sigma).sqrt() - sigma * root;
            let slope = (1.0 + (1.0 - eccentricity2) * tau * tau) / ((1.0 - eccentricity2) * root);
            let step = (conformal - guess) / (1.0 + guess * guess).sqrt() * slope;
            tau += step;
            if step.abs() < 1e-14 * tau.abs().max(1.0) {
                break;
            }
        }
        Geographic { lon: self.central_meridian + lambda.to_degrees(), lat: tau.atan().to_degrees() }
    }
}

/// The sinusoidal projection of the MODIS land products, central meridian Greenwich.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sinusoidal;

impl Sinusoidal {
    /// Radius of the sphere in metres.
    pub const RADIUS: f64 = 6_371_007.181;

    /// The projection as GDAL reads it.
    pub const CRS: &'static str = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs";

    /// x and y in metres.
    pub fn forward(at: Geographic) -> (f64, f64) {
        let phi = at.lat.to_radians();
        (Self::RADIUS * at.lon.to_radians() * phi.cos(), Self::RADIUS * phi)
    }

    /// Longitude and latitude of x and y in metres.
    pub fn inverse(x: f64, y: f64) -> Geographic {
        let phi = y / Self::RADIUS;
        Geographic { lon: (x / (Self::RADIUS * phi.cos())).to_degrees(), lat: phi.to_degrees() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// lon, lat, UTM 33N easting and northing, sinusoidal x and y, from PROJ 9.1 through GDAL 3.6.2.
    const REFERENCE: [[f64; 6]; 6] = [
        [15.0, 48.0, 500_000.0, 5_316_300.224_451, 1_116_060.188_299, 5_337_362.494_879],
        [15.5, 48.1, 537_225.564_197, 5_327_535.804_183, 1_151_024.973_618, 5_348_482.000_077],
        [12.3, 47.2, 295_503.905_176, 5_230_926.389_470, 929_271.287_052, 5_248_406.453_298],
        [17.9, 49.9, 708_250.225_749, 5_531_545.247_942, 1_282_058.152_784, 5_548_633.093_635],
        [14.2, 0.1, 410_977.252_181, 11_054.089_492, 1_578_967.333_161, 11_119.505_198],
        [16.75, 71.3, 562_613.957_043, 7_911_762.064_873, 597_147.184_055, 7_928_207.205_935],
    ];

    #[test]
    fn forward_agrees_with_proj_below_a_tenth_of_a_millimetre() {
        for [lon, lat, e, n, x, y] in REFERENCE {
            let at = Geographic { lon, lat };
            let (easting, northing) = Utm::north(33).forward(at);
            assert!((easting - e).abs() < 1e-4 && (northing - n).abs() < 1e-4, "{lon} {lat}: {easting} {northing}");
            let (sx, sy) = Sinusoidal::forward(at);
            assert!((sx - x).abs() < 1e-4 && (sy - y).abs() < 1e-4, "{lon} {lat}: {sx} {sy}");
        }
    }

    #[test]
    fn inverse_undoes_forward() {
        for [lon, lat, ..] in REFERENCE {
            let at = Geographic { lon, lat };
            let (e, n) = Utm::north(33).forward(at);
            let back = Utm::north(33).inverse(e, n);
            assert!((back.lon - lon).abs() < 1e-10 && (back.lat - lat).abs() < 1e-10, "{back:?}");
            let (x, y) = Sinusoidal::forward(at);
            let back = Sinusoidal::inverse(x, y);
            assert!((back.lon - lon).abs() < 1e-10 && (back.lat - lat).abs() < 1e-10, "{back:?}");
        }
    }

    #[test]
    fn zone_names_its_crs() {
        assert_eq!(Utm::north(33).crs(), "EPSG:32633");
        assert_eq!(Utm::north(5).crs(), "EPSG:32605");
    }
}
