# SPDX-License-Identifier: MIT OR Apache-2.0
"""Fusion of numpy arrays: values, types, strides, masks, messages."""

import datetime
import threading

import numpy as np
import pytest
from conftest import Scene

import stfusion
from stfusion import Pair, fuse

same = np.testing.assert_array_equal


def test_the_increment_is_added_to_the_fine_image(scene):
    predicted = scene.fuse()
    assert predicted.dtype == np.float32
    np.testing.assert_allclose(predicted, scene.fine + scene.target - scene.coarse, atol=1e-6)


def test_coarse_images_may_have_their_own_resolution(scene):
    def small(image):
        return np.ascontiguousarray(image[:, ::4, ::4])

    def large(image):
        return np.repeat(np.repeat(small(image), 4, axis=1), 4, axis=2)

    own = fuse(
        Pair(scene.fine, small(scene.coarse), scene.date),
        small(scene.target),
        scene.target_date,
        "coarse_increment",
        coarse_resampling="nearest",
    )
    same(own, fuse(Pair(scene.fine, large(scene.coarse), scene.date), large(scene.target), scene.target_date, "coarse_increment"))


def test_unchanged_coarse_images_return_the_fine_image(scene):
    baselines = (m["id"] for m in stfusion.methods() if m["family"] == "Baselines")
    for method in ("starfm", *baselines):
        predicted = fuse(scene.pair, scene.coarse, scene.target_date, method)
        np.testing.assert_allclose(predicted, scene.fine, atol=1e-6, err_msg=method)


def test_starfm_beats_copying_the_pair(scene):
    error = {m: np.sqrt(np.mean((scene.fuse(m) - scene.truth) ** 2)) for m in ("starfm", "nearest_pair")}
    assert error["starfm"] < error["nearest_pair"]


def test_parameters_are_given_in_a_dict_or_by_name(scene):
    by_name = scene.fuse("starfm", window=5, temporal_weight="off", uncertainty_fine=np.array([0.01, 0.02, 0.01]))
    same(
        by_name,
        scene.fuse(
            "starfm", parameters={"window": np.int64(5), "temporal_weight": "off", "uncertainty-fine": [0.01, 0.02, 0.01]}
        ),
    )
    assert not np.array_equal(by_name, scene.fuse("starfm", window=7, temporal_weight="off"))


def test_several_pairs_are_combined_by_time(scene):
    late = Pair(scene.truth, scene.target, np.datetime64("2001-06-04"))
    early = Pair(scene.fine, scene.coarse, datetime.date(2001, 5, 25))
    predicted = fuse([early, late], scene.target, datetime.datetime(2001, 5, 30, 10, 15), "linear_in_time")
    np.testing.assert_allclose(predicted, (scene.fine + scene.truth) / 2, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_result_does_not_depend_on_threads(scene, threads):
    same(scene.fuse("starfm", window=9, threads=threads), scene.fuse("starfm", window=9))


def test_the_support_layer_has_four_bands(scene):
    fine = scene.fine.copy()
    fine[:, :4] = np.nan
    _, support = fuse(Pair(fine, scene.coarse, scene.date), scene.target, scene.target_date, "nearest_pair", support=True)
    assert support.shape == (len(stfusion.SUPPORT_BANDS), *fine.shape[1:])
    assert stfusion.SUPPORT_BANDS == tuple(stfusion.spec()["support_bands"])
    assert np.isnan(support[:, :4]).all()
    same(support[2, 4:], 48)
    same(support[3, 4:], 1)


# memory layout


def test_any_strides_are_read_where_they_are(scene):
    expected = scene.fuse("starfm", window=7)
    interleaved = np.ascontiguousarray(scene.fine.transpose(1, 2, 0)).transpose(2, 0, 1)
    upside_down = np.ascontiguousarray(scene.coarse[:, ::-1, ::-1])[:, ::-1, ::-1]
    spread = np.zeros((3, 80, 156), np.float32)
    spread[:, ::2, ::3] = scene.target
    unaligned = np.zeros(scene.fine.shape, np.dtype([("flag", "u1"), ("value", "f4")]))
    unaligned["value"] = scene.fine
    for fine in (interleaved, unaligned["value"], scene.fine.astype(">f4")):
        same(fuse(Pair(fine, upside_down), spread[:, ::2, ::3], window=7), expected)


def test_repeated_and_read_only_arrays_are_read_as_they_look(scene):
    flat = np.broadcast_to(np.float32(0.25), scene.fine.shape)
    same(fuse(Pair(flat, flat), np.broadcast_to(np.float32(0.5), flat.shape), method="coarse_increment"), 0.5)
    row = np.broadcast_to(scene.coarse[:, :1], scene.coarse.shape)
    same(fuse(Pair(row, row), row, method="nearest_pair"), row)


def test_label_maps_take_the_place_of_segments_and_classes(scene):
    fields = np.arange(5 * 7).reshape(5, 7).repeat(8, 0).repeat(8, 1)[:, :52]
    options = {"target_date": scene.target_date, "method": "obsum", "coarse_scale": 8, "classes": 2}
    mapped = fuse(Pair(scene.fine, scene.coarse, scene.date, objects=fields, classes=fields % 2), scene.target, **options)
    counted = fuse(Pair(scene.fine, scene.coarse, scene.date, objects=10 * fields, classes=fields % 2), scene.target, **options)
    same(counted, mapped)
    assert np.abs(mapped - fuse(scene.pair, scene.target, **options)).max() > 1e-3
    wrong = Pair(scene.fine, scene.coarse, objects=np.full(fields.shape, 2**24))
    assert "has 16777216 at row 0, column 0" in refused(lambda: fuse(wrong, scene.target, **options)).message
    short = Pair(scene.fine, scene.coarse, objects=fields[1:])
    assert "The object map of pair 0 has 1 x 39 x 52" in refused(lambda: fuse(short, scene.target, **options)).message


def test_a_single_band_may_be_two_dimensional(scene):
    predicted, support = fuse(Pair(scene.fine[1], scene.coarse[1]), scene.target[1], method="coarse_increment", support=True)
    same(predicted, scene.fuse()[1])
    assert support.shape == (5, *predicted.shape)


def test_float32_is_not_copied(scene):
    from stfusion.fusion import _Input

    view = scene.fine[::-1, ::2, 3:]
    assert _Input(view, "image", None, None).image.data == view.__array_interface__["data"][0]
    mask = np.zeros(view.shape[1:], bool)
    described = _Input(view, "image", mask, None)
    assert described.image.mask == mask.__array_interface__["data"][0]


def test_the_result_goes_where_out_is(scene, tmp_path):
    out = np.memmap(tmp_path / "out", np.float32, "w+", shape=(40, 52, 3)).transpose(2, 0, 1)
    assert scene.fuse(out=out) is out
    same(out, scene.fuse())
    with pytest.raises(ValueError, match=r"out has the shape \(3, 40, 51\); expected \(3, 40, 52\)"):
        scene.fuse(out=np.empty((3, 40, 51)))
    with pytest.raises(TypeError, match="out has the type int64"):
        scene.fuse(out=np.empty((3, 40, 52), np.int64))
    with pytest.raises(stfusion.Error, match="overlaps the fine image of pair 0"):
        scene.fuse(out=scene.fine)


# types


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", ">i2", "f2"])
def test_the_result_has_the_type_of_the_fine_image(scene, dtype):
    fine, coarse, target = (np.round(image * 200).astype(dtype) for image in (scene.fine, scene.coarse, scene.target))
    predicted = fuse(Pair(fine, coarse), target, method="coarse_increment")
    assert predicted.dtype == np.dtype(dtype)
    expected = fine.astype(float) + target.astype(float) - coarse.astype(float)
    limits = np.iinfo(dtype) if predicted.dtype.kind in "iu" else np.finfo(dtype)
    same(predicted, np.clip(expected, limits.min, limits.max).astype(dtype))


def test_another_type_can_be_asked_for(scene):
    fine = np.round(scene.fine * 1e4).astype(np.int16)
    predicted = fuse(Pair(fine, scene.coarse * 1e4), scene.target * 1e4, method="coarse_increment", dtype=np.float64)
    assert predicted.dtype == np.float64
    np.testing.assert_allclose(predicted, fine + (scene.target - scene.coarse) * 1e4, atol=1e-2)


def test_types_without_a_meaning_are_refused(scene):
    with pytest.raises(TypeError, match="The fine image of pair 0 has the type complex64; expected whole or real numbers"):
        fuse(Pair(scene.fine.astype(complex).astype("c8"), scene.coarse), scene.target)
    with pytest.raises(ValueError, match=r"The target's coarse image has 1 dimensions \(3,\)"):
        fuse(scene.pair, np.zeros(3))


# what is invalid


def holes(shape, seed=3):
    return np.random.default_rng(seed).random(shape) < 0.1


def test_all_ways_to_say_invalid_mean_the_same(scene):
    hole = holes(scene.fine.shape[1:])
    with_nan = np.where(hole, np.nan, scene.fine).astype(np.float32)
    expected = fuse(Pair(with_nan, scene.coarse), scene.target, window=7)
    assert np.isnan(expected[:, hole]).all() and np.isfinite(expected[:, ~hole]).all()
    with_infinity = np.where(hole, -np.inf, scene.fine)
    same(fuse(Pair(with_infinity, scene.coarse), scene.target, window=7, dtype="f4"), expected)
    same(fuse(Pair(scene.fine, scene.coarse, fine_mask=hole), scene.target, window=7), expected)
    same(fuse(Pair(scene.fine, scene.coarse, fine_mask=hole.astype(int) * 1000), scene.target, window=7), expected)
    every_band = np.broadcast_to(hole, scene.fine.shape)
    same(fuse(Pair(scene.fine, scene.coarse, fine_mask=every_band), scene.target, window=7), expected)
    with_nodata = np.where(hole, np.float32(-3.4e38), scene.fine)
    predicted = fuse(Pair(with_nodata, scene.coarse), scene.target, window=7, nodata=-3.4e38)
    same(predicted, np.where(np.isnan(expected), np.float32(-3.4e38), expected))
    masked = fuse(Pair(np.ma.MaskedArray(scene.fine, every_band), scene.coarse), scene.target, window=7)
    assert isinstance(masked, np.ma.MaskedArray)
    same(masked.mask, every_band)
    same(masked.filled(np.nan), expected)


def test_masks_of_single_bands_are_honoured(scene):
    hole = holes(scene.fine.shape)
    expected = fuse(Pair(np.where(hole, np.nan, scene.fine).astype("f4"), scene.coarse), scene.target, window=7)
    before = scene.fine.copy()
    masked = np.ma.MaskedArray(scene.fine, hole)
    same(fuse(Pair(masked, scene.coarse), scene.target, window=7).filled(np.nan), expected)
    same(fuse(Pair(scene.fine, scene.coarse, fine_mask=hole), scene.target, window=7), expected)
    same(scene.fine, before)
    in_target = fuse(scene.pair, np.ma.MaskedArray(scene.target, hole), method="coarse_increment")
    same(np.isnan(in_target), hole)
    same(fuse(scene.pair, scene.target, method="coarse_increment", target_mask=hole), in_target)


def test_whole_numbers_mark_what_is_missing(scene):
    hole = holes(scene.fine.shape[1:])
    fine = np.round(scene.fine * 1e4).astype(np.int16)
    images = (Pair(fine, scene.coarse * 1e4, fine_mask=hole), scene.target * 1e4)
    with pytest.warns(UserWarning, match="Some pixels cannot be predicted and have the value -32768: give nodata"):
        same(fuse(*images, method="coarse_increment")[:, hole], -32768)
    predicted = fuse(*images, method="coarse_increment", nodata=-9999)
    same(predicted == -9999, np.broadcast_to(hole, fine.shape))
    masked = fuse(Pair(np.ma.MaskedArray(fine, False), *[images[0].coarse], fine_mask=hole), images[1], method="coarse_increment")
    same(masked.mask, np.broadcast_to(hole, fine.shape))
    assert masked.dtype == np.int16
    with pytest.raises(stfusion.Error, match="nodata is -9999, which the type cannot hold"):
        fuse(*images, method="coarse_increment", nodata=-9999, dtype=np.uint8)


# messages


def refused(call):
    with pytest.raises(stfusion.Error) as caught:
        call()
    return caught.value


def test_errors_carry_status_message_and_remedy(scene):
    error = refused(lambda: scene.fuse("starfm", window=4))
    assert error.status == 2
    assert "Window size" in error.message and "4" in error.message
    assert error.hint and str(error) == f"{error.message}\n{error.hint}"
    assert "colour" in refused(lambda: scene.fuse("starfm", colour=4)).message
    error = refused(lambda: scene.fuse("starfmm"))
    assert "starfmm" in error.message and "starfm" in str(error)
    assert "2001-02-30" in refused(lambda: fuse(scene.pair, scene.target, "2001-02-30")).message
    assert "nan" in refused(lambda: scene.fuse("starfm", classes=float("nan"))).message.lower()


def test_images_that_do_not_fit_are_named(scene):
    error = refused(lambda: fuse(Pair(scene.fine, scene.coarse[:, 1:]), scene.target))
    assert error.status == 4
    assert "coarse image of pair 0 has 3 x 39 x 52 (bands x rows x columns), expected 3 x 40 x 52" in error.message
    with pytest.raises(
        ValueError, match=r"The mask of the fine image of pair 0 has the shape \(1, 39, 52\); expected \(40, 52\)"
    ):
        fuse(Pair(scene.fine, scene.coarse, fine_mask=np.zeros((39, 52))), scene.target)
    assert refused(lambda: fuse([], scene.target)).message == "The job has no pair of images"
    assert (
        "takes no class map"
        in refused(
            lambda: fuse(Pair(scene.fine, scene.coarse, classes=scene.fine[0]), scene.target, method="nearest_pair")
        ).message
    )
    pair = Pair(scene.fine, scene.coarse, objects=scene.fine[0])
    error = refused(lambda: fuse(pair, scene.target, method="nearest_pair"))
    assert error.message.endswith("takes no object map; pair 1 has one")
    pair = Pair(scene.fine, scene.coarse, pan=scene.fine[0])
    error = refused(lambda: fuse(pair, scene.target, method="nearest_pair"))
    assert error.message.endswith("takes no panchromatic image; pair 1 has one")
    short = Pair(scene.fine, scene.coarse, pan=scene.fine[0, 1:])
    assert "The panchromatic image of pair 0 has 1 x 39 x 52" in refused(lambda: fuse(short, scene.target)).message


def test_memory_and_device_are_the_library_s_to_judge(scene):
    same(scene.fuse(memory="64MiB", device="cpu"), scene.fuse(memory=256 << 20))
    assert "1 MiB" in refused(lambda: scene.fuse(memory=12)).message
    assert refused(lambda: scene.fuse(device="cuda")).status == 9


def test_runs_side_by_side_do_not_disturb_each_other():
    scenes = [Scene(seed=seed) for seed in range(6)]
    expected = [scene.fuse("starfm", window=9) for scene in scenes]
    found = [None] * len(scenes)

    def one(k):
        found[k] = scenes[k].fuse("starfm", window=9, threads=1)

    threads = [threading.Thread(target=one, args=(k,)) for k in range(len(scenes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for have, want in zip(found, expected):
        same(have, want)
