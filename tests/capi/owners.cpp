// The C++ interface: owners, exceptions, callbacks that throw, contexts in two threads.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#include <stfusion/stfusion.hpp>

#include "check.h"

namespace {

constexpr std::size_t side = 300;

static_assert(!std::is_copy_constructible_v<stfusion::context> && std::is_move_constructible_v<stfusion::context>);
static_assert(!std::is_copy_constructible_v<stfusion::job> && std::is_nothrow_move_constructible_v<stfusion::job>);
static_assert(!std::is_copy_constructible_v<stfusion::report> && std::is_move_assignable_v<stfusion::report>);
static_assert(stfusion::dtype_of<const std::uint16_t>() == STF_DTYPE_U16 &&
              stfusion::dtype_of<double>() == STF_DTYPE_F64);

struct images {
    std::vector<std::int16_t> fine;
    std::vector<float> coarse, target;

    images() : fine(side * side), coarse(side * side), target(side * side) {
        for (std::size_t i = 0; i < fine.size(); ++i) {
            fine[i] = static_cast<std::int16_t>(1000 + i % 37 * 20);
            coarse[i] = 0.1f + 0.0001f * static_cast<float>(i % 61);
            target[i] = coarse[i] + 0.05f;
        }
    }

    stfusion::job job(const stfusion::context &context, const char *method) const {
        stfusion::job made(context, method);
        made.add_pair("2001-11-25", stfusion::image(fine.data(), 1, side, side).scale(1e-4).nodata(-28672),
                      stfusion::image(coarse.data(), 1, side, side))
            .set_target("2002-01-12", stfusion::image(target.data(), 1, side, side));
        return made;
    }
};

template <class Body>
void throws(stf_status status, const char *words, const char *what, Body body) {
    try {
        body();
        check(false, what, "nothing was thrown");
    } catch (const stfusion::error &e) {
        check(e.status() == status && contains(e.what(), words) && !e.hint().empty(), what, e.what());
    }
}

std::vector<float> starfm(const images &in, int threads) {
    stfusion::context context;
    context.threads(threads);
    std::vector<float> prediction(side * side);
    in.job(context, "starfm").set("window", 21).run(stfusion::image(prediction.data(), 1, side, side));
    return prediction;
}

} // namespace

int main() {
    const images in;
    check(stfusion::version() == STF_VERSION && stfusion::abi_version() == STF_ABI_VERSION, "versions agree",
          "they differ");

    stfusion::context context;
    std::atomic<int> messages{0};
    context.threads(2).memory(std::uint64_t{512} << 20).log([&](int, std::string_view) {
        ++messages;
        throw std::runtime_error("dropped");
    });
    check(contains(context.spec().c_str(), "starfm"), "the spec is a string", "no starfm in it");

    std::vector<float> prediction(side * side, -1.0f), support(5 * side * side);
    stfusion::job job = in.job(context, "coarse_increment");
    stfusion::context moved = std::move(context);
    stfusion::report report =
        job.run(stfusion::image(prediction.data(), 1, side, side), stfusion::image(support.data(), 5, side, side));
    check(contains(report.json().c_str(), "coarse_increment"), "a job outlives the move of its context", "no report");
    bool right = true;
    for (std::size_t i = 0; i < prediction.size(); ++i) {
        right = right && std::fabs(prediction[i] - (in.fine[i] * 1e-4f + 0.05f)) < 1e-6f;
    }
    check(right, "the increment is added to every pixel", "values differ");
    check(support[2 * side * side] == 48.0f, "the support layer counts the days", "it does not");

    throws(STF_STATUS_PARAMETER, "starfrm", "an unknown method throws", [&] { stfusion::job(moved, "starfrm"); });
    throws(STF_STATUS_PARAMETER, "nope", "an unknown name throws", [&] { job.set("nope", 1); });
    throws(STF_STATUS_JOB, "cannot have files too", "mixing files and memory throws",
           [&] { job.add_pair("", "f", "c"); });
    throws(STF_STATUS_READ, "/nowhere", "a missing job file throws",
           [&] { stfusion::job::from_file(moved, "/nowhere/job.stf"); });
    throws(STF_STATUS_ARGUMENT, "overlaps", "writing over an input throws", [&] {
        std::vector<float> both(side * side, 0.1f);
        stfusion::job twice(moved, "coarse_increment");
        const stfusion::image view(both.data(), 1, side, side);
        twice.add_pair("", view, view).set_target("", view).run(view);
    });

    throws(STF_STATUS_DATA, "takes no panchromatic image", "a panchromatic image that the method does not take throws",
           [&] {
               std::vector<float> pan(side * side, 1.0f), ignored(side * side);
               in.job(moved, "coarse_increment")
                   .set_pair_pan(0, stfusion::image(pan.data(), 1, side, side))
                   .run(stfusion::image(ignored.data(), 1, side, side));
           });
    throws(STF_STATUS_DATA, "takes no object map", "an object map that the method does not take throws", [&] {
        std::vector<float> objects(side * side, 1.0f), ignored(side * side);
        in.job(moved, "coarse_increment")
            .set_pair_objects(0, stfusion::image(objects.data(), 1, side, side))
            .run(stfusion::image(ignored.data(), 1, side, side));
    });

    // images behind functions: the same pixels, asked for and given away piece by piece
    {
        std::vector<float> whole(side * side), pieces(side * side, -1.0f);
        in.job(moved, "starfm").set("window", 15).run(stfusion::image(whole.data(), 1, side, side));
        const auto from = [](auto &pixels) {
            return [&pixels](const stfusion::area &where, auto *to) {
                for (std::size_t row = 0; row < where.rows; ++row) {
                    const auto first =
                        pixels.begin() + static_cast<std::ptrdiff_t>((where.row + row) * side + where.col);
                    std::copy(first, first + static_cast<std::ptrdiff_t>(where.cols), to + row * where.cols);
                }
            };
        };
        std::size_t given = 0;
        const stfusion::image<float> output(
            [&](const stfusion::area &where, float *tile) {
                for (std::size_t row = 0; row < where.rows; ++row) {
                    std::copy(tile + row * where.cols, tile + (row + 1) * where.cols,
                              pieces.begin() + static_cast<std::ptrdiff_t>((where.row + row) * side + where.col));
                }
                given += where.rows * where.cols;
            },
            1, side, side);
        stfusion::job behind(moved, "starfm");
        behind.set("window", 15)
            .add_pair("2001-11-25",
                      stfusion::image<std::int16_t>(from(in.fine), 1, side, side).scale(1e-4).nodata(-28672),
                      stfusion::image<float>(from(in.coarse), 1, side, side))
            .set_target("2002-01-12", stfusion::image<float>(from(in.target), 1, side, side));
        behind.run(output);
        check(given == side * side, "a function is given every pixel once", std::to_string(given).c_str());
        check(std::memcmp(whole.data(), pieces.data(), whole.size() * sizeof(float)) == 0,
              "images behind functions give the same prediction, bit for bit", "they differ");

        behind.set_target(
            "", stfusion::image<float>([](const stfusion::area &, float *) { throw std::domain_error("disk on fire"); },
                                       1, side, side));
        for (int again = 0; again < 2; ++again) {
            try {
                behind.run(output);
                check(false, "what a function throws leaves the run", "nothing was thrown");
            } catch (const std::domain_error &e) {
                check(contains(e.what(), "disk on fire"), "what a function throws leaves the run", e.what());
            }
        }
        throws(STF_STATUS_READ, "target's coarse image: the transfer function failed at row 0",
               "a function in C that fails is named", [&] {
                   stf_image bad = *stfusion::image(whole.data(), 1, side, side).c_image();
                   bad.data = nullptr;
                   bad.transfer = [](std::size_t, std::size_t, std::size_t, std::size_t, void *, void *) { return 0; };
                   const stf_status status = stf_job_set_target_image(moved.c_context(), behind.c_job(), nullptr, &bad);
                   check(status == STF_STATUS_OK, "a function in C is taken", stf_status_name(status));
                   behind.run(output);
               });
    }

    int calls = 0;
    moved.progress([&](double, std::string_view) { return ++calls < 1; });
    throws(STF_STATUS_CANCELLED, "Cancelled", "progress returning false cancels", [&] {
        try {
            in.job(moved, "starfm").set("window", "299").run(stfusion::image(prediction.data(), 1, side, side));
        } catch (const stfusion::error &e) {
            throw stfusion::error(e.status(), e.what(), "no hint is needed here");
        }
    });
    check(calls == 1, "and is asked no more", "it was");
    moved.progress([](double, std::string_view) -> bool { throw std::domain_error("from the callback"); });
    try {
        in.job(moved, "starfm").set("window", 299).run(stfusion::image(prediction.data(), 1, side, side));
        check(false, "an exception of the progress function leaves the call", "nothing was thrown");
    } catch (const std::domain_error &e) {
        check(contains(e.what(), "from the callback"), "an exception of the progress function leaves the call",
              e.what());
    }
    moved.progress(nullptr);

    const stfusion::job named = stfusion::job::from_json(
        moved, R"({"stfusion": 1, "method": "nearest_pair", "pairs": [{"fine": "f", "coarse": "c"}]})", "/data");
    throws(STF_STATUS_DATA, "1 pair", "a comparison needs two pairs", [&] { named.compare(); });
    throws(STF_STATUS_JOB, "unknown field `pairs`", "and its options are checked",
           [&] { named.compare(R"({"pairs": 2})"); });
    check(contains(named.json().c_str(), "/data/f"), "a job from JSON has its names in the folder",
          named.json().c_str());

    // a network whose tensors are all zero returns its image
    {
        const std::string header =
            R"({"__metadata__":{"stfusion":"{\"schema\":1,\"network\":\"stfdcnn\"}"},)"
            R"("feature_extraction_layer.0.weight":{"dtype":"F32","shape":[1,1,9,9],"data_offsets":[0,324]},)"
            R"("feature_extraction_layer.0.bias":{"dtype":"F32","shape":[1],"data_offsets":[324,328]},)"
            R"("nonlinear_mapping_layer.0.weight":{"dtype":"F32","shape":[1,1,5,5],"data_offsets":[328,428]},)"
            R"("nonlinear_mapping_layer.0.bias":{"dtype":"F32","shape":[1],"data_offsets":[428,432]},)"
            R"("reconstruction_layer.0.weight":{"dtype":"F32","shape":[1,1,5,5],"data_offsets":[432,532]},)"
            R"("reconstruction_layer.0.bias":{"dtype":"F32","shape":[1],"data_offsets":[532,536]}})";
        std::string weights(8, '\0');
        for (std::size_t i = 0; i < 8; ++i) {
            weights[i] = static_cast<char>(header.size() >> 8 * i & 0xff);
        }
        weights += header + std::string(536, '\0');
        const stfusion::array image{{1, 1, 3, 4}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}};
        const auto results = moved.infer("zeros", weights.data(), weights.size(), {{"image", image}});
        check(results.size() == 1 && results.at("image").shape == image.shape &&
                  results.at("image").values == image.values,
              "a network runs on arrays", "another result");
        throws(STF_STATUS_DATA, "image", "a network without its array is refused",
               [&] { moved.infer("zeros", weights.data(), weights.size(), {}); });
        throws(STF_STATUS_READ, "/nowhere/w", "weights that are not there throw", [&] {
            moved.infer("/nowhere/w", {{"image", image}});
        });
    }

    std::vector<float> first, second;
    std::thread one([&] { first = starfm(in, 1); }), two([&] { second = starfm(in, 2); });
    one.join();
    two.join();
    check(!first.empty() && std::memcmp(first.data(), second.data(), first.size() * sizeof(float)) == 0,
          "two contexts in two threads give the same image, bit for bit", "the images differ");
    return checks_failed != 0;
}
