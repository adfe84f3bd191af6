// SPDX-License-Identifier: MIT OR Apache-2.0
//
// C++17 over stfusion.h: owners that clean up after themselves, exceptions instead of statuses, std::function for
// callbacks. Header only; link libstfusion. What a call means, and which names can be set, is said in stfusion.h.
//
//     stfusion::context context;
//     stfusion::job job(context, "starfm");
//     job.set("window", 31)
//         .add_pair("2001-11-25", stfusion::image(fine, 6, rows, cols), stfusion::image(coarse, 6, rows, cols))
//         .set_target("2002-01-12", stfusion::image(target, 6, rows, cols));
//     stfusion::report report = job.run(stfusion::image(prediction, 6, rows, cols));
//
// Use a context, and the jobs made with it, from one thread at a time. Contexts are independent of each other.

#ifndef STFUSION_STFUSION_HPP
#define STFUSION_STFUSION_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "stfusion.h"

namespace stfusion {

/// A call that failed: what() says what and where; hint() what the user can do, or is empty.
class error : public std::runtime_error {
  public:
    error(stf_status status, const std::string &message, std::string hint)
        : std::runtime_error(message), status_(status), hint_(std::move(hint)) {}

    stf_status status() const noexcept { return status_; }
    const char *status_name() const noexcept { return stf_status_name(status_); }
    const std::string &hint() const noexcept { return hint_; }

  private:
    stf_status status_;
    std::string hint_;
};

/// Told the finished fraction (0 to 1) and what is being done; returns whether to go on. It may throw: the work stops,
/// and the exception leaves the call that ran the job.
using progress_function = std::function<bool(double fraction, std::string_view message)>;

/// Told log messages, from any thread, several at a time. What it throws is dropped.
using log_function = std::function<void(int level, std::string_view message)>;

/// Version and ABI number of the library in use.
inline std::string version() { return stf_version(); }
inline std::uint32_t abi_version() noexcept { return stf_abi_version(); }

/// Type of a stored pixel.
template <class T>
constexpr stf_dtype dtype_of() noexcept {
    using value = std::remove_const_t<T>;
    static_assert(std::is_arithmetic_v<value> && !std::is_same_v<value, bool> && sizeof(value) <= 8,
                  "not a pixel type");
    if constexpr (std::is_floating_point_v<value>) {
        static_assert(!std::is_floating_point_v<value> || sizeof(value) == 4 || sizeof(value) == 8, "not a pixel type");
        return sizeof(value) == 4 ? STF_DTYPE_F32 : STF_DTYPE_F64;
    } else {
        static_assert(std::is_floating_point_v<value> || sizeof(value) <= 4, "64-bit whole numbers are no pixel type");
        constexpr bool is_signed = std::is_signed_v<value>;
        return sizeof(value) == 1   ? (is_signed ? STF_DTYPE_I8 : STF_DTYPE_U8)
               : sizeof(value) == 2 ? (is_signed ? STF_DTYPE_I16 : STF_DTYPE_U16)
                                    : (is_signed ? STF_DTYPE_I32 : STF_DTYPE_U32);
    }
}

/// A rectangle of an image.
struct area {
    std::size_t row, col, rows, cols;
};

/// Moves a rectangle of all bands between your storage, such as a file, and `pixels`, (band, row, col) without gaps:
/// fills them for an input, takes them for an output. Called from worker threads, never twice at a time for one image;
/// areas of inputs overlap, and come again. What it throws ends the run and leaves the call that ran the job.
template <class T>
using transfer_function = std::function<void(const area &where, T *pixels)>;

namespace detail {

/// What an image behind a function needs, at one address for as long as an image or a job uses it.
struct transfer {
    std::function<void(const area &, void *)> function;
    std::mutex mutex;
    std::exception_ptr thrown;

    static int call(std::size_t row, std::size_t col, std::size_t rows, std::size_t cols, void *pixels,
                    void *user) noexcept {
        auto *self = static_cast<transfer *>(user);
        try {
            self->function(area{row, col, rows, cols}, pixels);
            return 1;
        } catch (...) {
            const std::lock_guard<std::mutex> lock(self->mutex);
            self->thrown = std::current_exception();
            return 0;
        }
    }

    std::exception_ptr take() {
        const std::lock_guard<std::mutex> lock(mutex);
        return std::exchange(thrown, nullptr);
    }
};

} // namespace detail

/// A view of pixels in memory, order (band, row, col), or behind a function. Copies share the pixels, which must
/// outlive every run.
template <class T>
class image {
  public:
    /// Pixels that a function moves piece by piece.
    image(transfer_function<T> function, std::size_t bands, std::size_t rows, std::size_t cols)
        : image(static_cast<T *>(nullptr), bands, rows, cols) {
        static_assert(!std::is_const_v<T>, "the function fills the pixels");
        transfer_ = std::make_shared<detail::transfer>();
        transfer_->function = [function = std::move(function)](const area &where, void *pixels) {
            function(where, static_cast<T *>(pixels));
        };
        image_.transfer = &detail::transfer::call;
        image_.user = transfer_.get();
    }

    /// Pixels without gaps.
    image(T *data, std::size_t bands, std::size_t rows, std::size_t cols) noexcept {
        image_.struct_size = sizeof image_;
        image_.data = const_cast<std::remove_const_t<T> *>(data);
        image_.dtype = dtype_of<T>();
        image_.bands = bands;
        image_.rows = rows;
        image_.cols = cols;
        image_.scale = 1.0;
    }

    /// Bytes to the next band, row and column; 0 means without gaps.
    image &strides(std::ptrdiff_t band, std::ptrdiff_t row, std::ptrdiff_t col) noexcept {
        image_.band_stride = band;
        image_.row_stride = row;
        image_.col_stride = col;
        return *this;
    }

    /// Stored value that means nodata.
    image &nodata(double value) noexcept {
        image_.nodata = value;
        image_.has_nodata = 1;
        return *this;
    }

    /// A stored value v means v * factor + summand.
    image &scale(double factor, double summand = 0.0) noexcept {
        image_.scale = factor;
        image_.offset = summand;
        return *this;
    }

    /// One byte per pixel, not 0 where the image is invalid; strides in bytes, 0 means without gaps.
    image &mask(const std::uint8_t *data, std::ptrdiff_t row = 0, std::ptrdiff_t col = 0) noexcept {
        image_.mask = data;
        image_.mask_row_stride = row;
        image_.mask_col_stride = col;
        return *this;
    }

    /// The description in C.
    const stf_image *c_image() const noexcept { return &image_; }

  private:
    friend class job;
    stf_image image_ = {};
    std::shared_ptr<detail::transfer> transfer_;
};

/// What a run did.
class report {
  public:
    explicit report(stf_report *owned) noexcept : report_(owned) {}
    std::string json() const { return stf_report_json(report_.get()); }

  private:
    struct destroy {
        void operator()(stf_report *p) const noexcept { stf_report_destroy(p); }
    };
    std::unique_ptr<stf_report, destroy> report_;
};

/// An array of a network, in C order.
struct array {
    std::vector<std::size_t> shape;
    std::vector<float> values; ///< As many as the product of the shape.
};

namespace detail {

/// Arrays of the C interface.
class arrays {
  public:
    arrays() = default;
    ~arrays() { stf_arrays_destroy(arrays_); }
    arrays(const arrays &) = delete;
    arrays &operator=(const arrays &) = delete;
    stf_arrays *get() const noexcept { return arrays_; }
    stf_arrays **out() noexcept { return &arrays_; }

  private:
    stf_arrays *arrays_ = nullptr;
};

/// The C context and what its callbacks need, at one address for as long as a context or a job uses it.
class session {
  public:
    session() {
        if (const stf_status status = stf_context_create(&context_); status != STF_STATUS_OK) {
            throw error(status, "The context cannot be made", "");
        }
    }
    ~session() { stf_context_destroy(context_); }
    session(const session &) = delete;
    session &operator=(const session &) = delete;

    stf_context *get() const noexcept { return context_; }

    void check(stf_status status) {
        if (std::exception_ptr thrown = std::exchange(thrown_, nullptr)) {
            std::rethrow_exception(thrown);
        }
        if (status != STF_STATUS_OK) {
            throw error(status, stf_context_last_error(context_), stf_context_last_hint(context_));
        }
    }

    /// The text that a function of the context hands out.
    template <class Function, class... Arguments>
    std::string text(Function function, Arguments... arguments) {
        const char *out = nullptr;
        check(function(context_, arguments..., &out));
        return out;
    }

    void progress(progress_function function) {
        check(stf_context_set_progress(context_, function ? &tell_progress : nullptr, this));
        progress_ = std::move(function);
    }

    void log(log_function function) {
        // the library must not call a function that is being replaced
        check(stf_context_set_log(context_, nullptr, nullptr));
        log_ = std::move(function);
        check(stf_context_set_log(context_, log_ ? &tell_log : nullptr, this));
    }

  private:
    static int tell_progress(double fraction, const char *message, void *user) noexcept {
        auto *self = static_cast<session *>(user);
        try {
            return !self->thrown_ && self->progress_(fraction, message) ? 1 : 0;
        } catch (...) {
            self->thrown_ = std::current_exception();
            return 0;
        }
    }

    static void tell_log(int level, const char *message, void *user) noexcept {
        try {
            static_cast<session *>(user)->log_(level, message);
        } catch (...) {
        }
    }

    stf_context *context_ = nullptr;
    progress_function progress_;
    log_function log_;
    std::exception_ptr thrown_;
};

inline const char *or_null(const std::string &text) noexcept { return text.empty() ? nullptr : text.c_str(); }

} // namespace detail

class job;

/// Threads, memory budget and callbacks. Move-only.
class context {
  public:
    context() : session_(std::make_shared<detail::session>()) {}
    context(context &&) noexcept = default;
    context &operator=(context &&) noexcept = default;

    /// Number of threads; 0: as many as the process may use.
    context &threads(int count) {
        session_->check(stf_context_set_threads(session_->get(), count));
        return *this;
    }

    /// Memory budget of a run in bytes; 0: the library chooses.
    context &memory(std::uint64_t bytes) {
        session_->check(stf_context_set_memory(session_->get(), bytes));
        return *this;
    }

    /// An empty function removes the present one.
    context &progress(progress_function function) {
        session_->progress(std::move(function));
        return *this;
    }

    /// An empty function removes the present one.
    context &log(log_function function) {
        session_->log(std::move(function));
        return *this;
    }

    /// Texts in JSON, see the functions of the same names in stfusion.h.
    std::string spec() const { return session_->text(stf_spec_json); }
    std::string methods() const { return session_->text(stf_methods_json); }
    std::string job_schema() const { return session_->text(stf_job_schema_json); }
    std::string devices() const { return session_->text(stf_devices_json); }
    std::string installation() const { return session_->text(stf_installation_json); }
    std::string image_info(const std::string &name) const { return session_->text(stf_image_info_json, name.c_str()); }
    std::string assess(const std::string &request) const { return session_->text(stf_assess_json, request.c_str()); }

    std::string weights_info(const std::string &path) const {
        return session_->text(stf_weights_info_json, path.c_str());
    }

    /// Runs a network once on arrays, by the names of its inputs, and returns its results. `weights` names a
    /// safetensors or ONNX file; `options` is JSON, see stf_infer.
    std::map<std::string, array> infer(const std::string &weights, const std::map<std::string, array> &inputs,
                                       const std::string &options = "") const {
        return infer(weights, nullptr, 0, inputs, options);
    }

    /// The same with the contents of the weights file, which messages call `name`.
    std::map<std::string, array> infer(const std::string &name, const void *contents, std::size_t size,
                                       const std::map<std::string, array> &inputs,
                                       const std::string &options = "") const {
        detail::arrays given;
        session_->check(stf_arrays_create(session_->get(), given.out()));
        for (const auto &[key, input] : inputs) {
            session_->check(stf_arrays_add(session_->get(), given.get(), key.c_str(), input.shape.data(),
                                           input.shape.size(), input.values.data()));
        }
        detail::arrays made;
        session_->check(stf_infer(session_->get(), name.c_str(), contents, size, detail::or_null(options), given.get(),
                                  made.out()));
        std::map<std::string, array> results;
        for (std::size_t i = 0; i < stf_arrays_count(made.get()); ++i) {
            const char *key = nullptr;
            const std::size_t *shape = nullptr;
            std::size_t axes = 0;
            const float *values = nullptr;
            session_->check(stf_arrays_get(session_->get(), made.get(), i, &key, &shape, &axes, &values));
            array result;
            result.shape.assign(shape, shape + axes);
            std::size_t count = 1;
            for (const std::size_t extent : result.shape) {
                count *= extent;
            }
            result.values.assign(values, values + count);
            results.emplace(key, std::move(result));
        }
        return results;
    }

    stf_context *c_context() const noexcept { return session_->get(); }

  private:
    friend class job;
    std::shared_ptr<detail::session> session_;
};

/// A method, its parameters, images and output. Move-only; keeps what it needs of its context.
///
/// An empty date stands for a date from names and metadata (files), or none (memory).
class job {
  public:
    job(const context &context, const std::string &method) : session_(context.session_) {
        stf_job *made = nullptr;
        session_->check(stf_job_create(session_->get(), method.c_str(), &made));
        job_.reset(made);
    }

    /// Relative file names are resolved against `folder`, unless it is empty.
    static job from_json(const context &context, const std::string &json, const std::string &folder = "") {
        stf_job *made = nullptr;
        context.session_->check(
            stf_job_from_json(context.session_->get(), json.c_str(), detail::or_null(folder), &made));
        return job(context.session_, made);
    }

    static job from_file(const context &context, const std::string &path) {
        stf_job *made = nullptr;
        context.session_->check(stf_job_from_file(context.session_->get(), path.c_str(), &made));
        return job(context.session_, made);
    }

    /// Sets a parameter of the method or an option of the job: a number, a bool or text.
    template <class Value>
    job &set(const std::string &name, const Value &value) {
        stf_context *const c = session_->get();
        if constexpr (std::is_same_v<Value, bool>) {
            session_->check(stf_job_set_bool(c, job_.get(), name.c_str(), value ? 1 : 0));
        } else if constexpr (std::is_integral_v<Value>) {
            session_->check(stf_job_set_int(c, job_.get(), name.c_str(), static_cast<std::int64_t>(value)));
        } else if constexpr (std::is_floating_point_v<Value>) {
            session_->check(stf_job_set_double(c, job_.get(), name.c_str(), static_cast<double>(value)));
        } else {
            session_->check(stf_job_set_string(c, job_.get(), name.c_str(), std::string(value).c_str()));
        }
        return *this;
    }

    /// Gives a parameter that names a file to read, such as weights, the contents of that file instead. They are
    /// copied.
    job &set_contents(const std::string &name, const void *data, std::size_t size) {
        session_->check(stf_job_set_contents(session_->get(), job_.get(), name.c_str(), data, size));
        return *this;
    }

    /// A pair of files.
    job &add_pair(const std::string &date, const std::string &fine, const std::string &coarse) {
        session_->check(
            stf_job_add_pair(session_->get(), job_.get(), detail::or_null(date), fine.c_str(), coarse.c_str()));
        return *this;
    }

    /// A pair of images in memory.
    template <class Fine, class Coarse>
    job &add_pair(const std::string &date, const image<Fine> &fine, const image<Coarse> &coarse) {
        session_->check(stf_job_add_pair_image(session_->get(), job_.get(), detail::or_null(date), fine.c_image(),
                                               coarse.c_image()));
        keep(fine);
        keep(coarse);
        return *this;
    }

    /// The mask file of an image of a pair, counted from 0. An empty path removes it.
    job &set_pair_mask(std::size_t pair, stf_role role, const std::string &path, const std::string &preset = "") {
        session_->check(stf_job_set_pair_mask(session_->get(), job_.get(), pair, role, detail::or_null(path),
                                              detail::or_null(preset)));
        return *this;
    }

    /// The class map file of a pair, counted from 0. An empty path removes it.
    job &set_pair_classes(std::size_t pair, const std::string &path) {
        session_->check(stf_job_set_pair_classes(session_->get(), job_.get(), pair, detail::or_null(path)));
        return *this;
    }

    /// The class map in memory of a pair, counted from 0.
    template <class T>
    job &set_pair_classes(std::size_t pair, const image<T> &classes) {
        session_->check(stf_job_set_pair_class_image(session_->get(), job_.get(), pair, classes.c_image()));
        keep(classes);
        return *this;
    }

    /// The object map file (segment numbers) of a pair, counted from 0. An empty path removes it.
    job &set_pair_objects(std::size_t pair, const std::string &path) {
        session_->check(stf_job_set_pair_objects(session_->get(), job_.get(), pair, detail::or_null(path)));
        return *this;
    }

    /// The object map in memory of a pair, counted from 0.
    template <class T>
    job &set_pair_objects(std::size_t pair, const image<T> &objects) {
        session_->check(stf_job_set_pair_object_image(session_->get(), job_.get(), pair, objects.c_image()));
        keep(objects);
        return *this;
    }

    /// The panchromatic image file of a pair, counted from 0. An empty path removes it.
    job &set_pair_pan(std::size_t pair, const std::string &path) {
        session_->check(stf_job_set_pair_pan(session_->get(), job_.get(), pair, detail::or_null(path)));
        return *this;
    }

    /// The panchromatic image in memory of a pair, counted from 0.
    template <class T>
    job &set_pair_pan(std::size_t pair, const image<T> &pan) {
        session_->check(stf_job_set_pair_pan_image(session_->get(), job_.get(), pair, pan.c_image()));
        keep(pan);
        return *this;
    }

    /// The day to predict and its coarse file.
    job &set_target(const std::string &date, const std::string &coarse) {
        session_->check(stf_job_set_target(session_->get(), job_.get(), detail::or_null(date), coarse.c_str()));
        return *this;
    }

    /// The day to predict and its coarse image in memory.
    template <class T>
    job &set_target(const std::string &date, const image<T> &coarse) {
        session_->check(stf_job_set_target_image(session_->get(), job_.get(), detail::or_null(date), coarse.c_image()));
        keep(coarse);
        return *this;
    }

    /// The mask file of the target's coarse image. An empty path removes it.
    job &set_target_mask(const std::string &path, const std::string &preset = "") {
        session_->check(
            stf_job_set_target_mask(session_->get(), job_.get(), detail::or_null(path), detail::or_null(preset)));
        return *this;
    }

    /// Runs a job of files.
    report run() {
        stf_report *made = nullptr;
        const stf_status status = stf_job_run(session_->get(), job_.get(), &made);
        report owned(made);
        session_->check(status);
        return owned;
    }

    /// Runs a job of images in memory.
    template <class T>
    report run(const image<T> &prediction) {
        static_assert(!std::is_const_v<T>, "the prediction is written");
        return run_image(prediction.c_image(), nullptr, {prediction.transfer_.get()});
    }

    /// Runs a job of images in memory and fills the support layer (5 bands).
    template <class T, class S>
    report run(const image<T> &prediction, const image<S> &support) {
        static_assert(!std::is_const_v<T> && !std::is_const_v<S>, "prediction and support are written");
        return run_image(prediction.c_image(), support.c_image(),
                         {prediction.transfer_.get(), support.transfer_.get()});
    }

    /// What a job of files would do, as JSON.
    std::string inspect() const {
        return session_->text(stf_job_inspect_json, static_cast<const stf_job *>(job_.get()));
    }

    /// Compares methods on the pairs of a job of files, each held back in turn; the result and `options` are JSON.
    std::string compare(const std::string &options = "") const {
        return session_->text(stf_job_compare_json, static_cast<const stf_job *>(job_.get()), detail::or_null(options));
    }

    /// The text of a job file.
    std::string json() const { return session_->text(stf_job_to_json, static_cast<const stf_job *>(job_.get())); }

    stf_job *c_job() const noexcept { return job_.get(); }

  private:
    struct destroy {
        void operator()(stf_job *p) const noexcept { stf_job_destroy(p); }
    };

    job(std::shared_ptr<detail::session> session, stf_job *owned) noexcept
        : session_(std::move(session)), transfers_(), job_(owned) {}

    template <class T>
    void keep(const image<T> &image) {
        if (image.transfer_) {
            transfers_.push_back(image.transfer_);
        }
    }

    report run_image(const stf_image *prediction, const stf_image *support, std::vector<detail::transfer *> transfers) {
        for (const auto &input : transfers_) {
            transfers.push_back(input.get());
        }
        stf_report *made = nullptr;
        const stf_status status = stf_job_run_image(session_->get(), job_.get(), prediction, support, &made);
        report owned(made);
        std::exception_ptr first;
        for (detail::transfer *transfer : transfers) {
            std::exception_ptr thrown = transfer ? transfer->take() : nullptr;
            first = first ? first : thrown;
        }
        if (first) {
            std::rethrow_exception(first);
        }
        session_->check(status);
        return owned;
    }

    std::shared_ptr<detail::session> session_;
    std::vector<std::shared_ptr<detail::transfer>> transfers_;
    std::unique_ptr<stf_job, destroy> job_;
};

} // namespace stfusion

#endif // STFUSION_STFUSION_HPP
