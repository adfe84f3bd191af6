/* Images in memory: layouts, types, progress, errors, setters and JSON, through the C interface alone. */
#include <math.h>
#include <stdlib.h>

#include <stfusion/stfusion.h>

#include "check.h"

enum { BANDS = 2, ROWS = 40, COLS = 50, PIXELS = ROWS * COLS };

static stf_context *context;

static const char *error_text(void) { return stf_context_last_error(context); }

static void expect(stf_status status, const char *what) { check(status == STF_STATUS_OK, what, error_text()); }

static void refused(stf_status status, stf_status expected, const char *words, const char *what) {
    check(status == expected && contains(error_text(), words) && stf_context_last_hint(context)[0] != '\0', what,
          error_text());
}

/* Fine image as int16 interleaved by pixel, coarse images as float with a gap after each row, prediction as uint16 from
   the last row up: fine + (target - coarse) is known for each pixel. */
static void layouts(void) {
    enum { STRIDE = COLS + 3 };
    int16_t *fine = malloc(sizeof(int16_t) * BANDS * PIXELS);
    float *coarse = calloc(2u * BANDS * ROWS * STRIDE, sizeof(float));
    float *target = coarse + BANDS * ROWS * STRIDE;
    uint8_t *mask = calloc(PIXELS, 1);
    unsigned char *bytes = malloc(sizeof(uint16_t) * BANDS * PIXELS + 1);
    unsigned char *prediction = bytes + 1; /* no alignment at all */
    stf_image f, c, t, p;
    stf_job *job = NULL;
    int wrong = 0;

    for (int row = 0; row < ROWS; ++row) {
        for (int col = 0; col < COLS; ++col) {
            for (int band = 0; band < BANDS; ++band) {
                fine[(row * COLS + col) * BANDS + band] = (int16_t)(1000 * (band + 1) + row);
                coarse[(band * ROWS + row) * STRIDE + col] = 0.1f;
                target[(band * ROWS + row) * STRIDE + col] = 0.1f + 0.001f * (float)col;
            }
        }
    }
    fine[(7 * COLS + 8) * BANDS] = -28672;
    mask[20 * COLS + 30] = 1;

    stf_image_init(fine, STF_DTYPE_I16, BANDS, ROWS, COLS, sizeof(stf_image), &f);
    f.band_stride = sizeof(int16_t);
    f.col_stride = BANDS * sizeof(int16_t);
    f.row_stride = COLS * f.col_stride;
    f.nodata = -28672;
    f.has_nodata = 1;
    f.scale = 0.0001;
    stf_image_init(coarse, STF_DTYPE_F32, BANDS, ROWS, COLS, sizeof(stf_image), &c);
    c.row_stride = STRIDE * sizeof(float);
    t = c;
    t.data = target;
    t.mask = mask;
    stf_image_init(prediction + (ROWS - 1) * COLS * sizeof(uint16_t), STF_DTYPE_U16, BANDS, ROWS, COLS,
                   sizeof(stf_image), &p);
    p.row_stride = -(ptrdiff_t)(COLS * sizeof(uint16_t));
    p.band_stride = PIXELS * sizeof(uint16_t);
    p.nodata = 65535;
    p.has_nodata = 1;
    p.scale = 0.0001;

    expect(stf_job_create(context, "coarse_increment", &job), "a job is made");
    expect(stf_job_add_pair_image(context, job, "2001-11-25", &f, &c), "a pair is added");
    expect(stf_job_set_target_image(context, job, "2002-01-12", &t), "the target is set");
    expect(stf_job_run_image(context, job, &p, NULL, NULL), "the job runs without a report");
    for (int band = 0; band < BANDS; ++band) {
        for (int row = 0; row < ROWS; ++row) {
            for (int col = 0; col < COLS; ++col) {
                const int invalid = (row == 20 && col == 30) || (row == 7 && col == 8 && band == 0);
                const int expected = invalid ? 65535 : 1000 * (band + 1) + row + 10 * col;
                uint16_t found;
                memcpy(&found, prediction + 2 * (band * PIXELS + (ROWS - 1 - row) * COLS + col), sizeof found);
                wrong += abs(found - expected) > (invalid ? 0 : 1);
            }
        }
    }
    check(wrong == 0, "every pixel of a strided, scaled, masked prediction is right", "pixels differ");
    stf_job_destroy(job);
    free(fine);
    free(coarse);
    free(mask);
    free(bytes);
}

typedef struct {
    int calls;
    int stop_at;
    double last;
    int backwards;
} progress_log;

static int note_progress(double fraction, const char *message, void *user) {
    progress_log *log = user;
    log->backwards += fraction < log->last || fraction > 1.0 || message[0] == '\0';
    log->last = fraction;
    return ++log->calls != log->stop_at;
}

static void note_log(int level, const char *message, void *user) {
    if (level >= 1 && level <= 3 && message[0] != '\0')
        *(int *)user = 1;
}

static void progress_and_support(void) {
    enum { SIDE = 500 };
    const size_t n = (size_t)SIDE * SIDE;
    float *all = malloc(5 * n * sizeof(float));
    float *support = malloc(5 * n * sizeof(float));
    stf_image image[4], s;
    stf_job *job = NULL;
    stf_report *report = NULL;
    progress_log log = {0, 1, 0.0, 0};
    int logged = 0;
    stf_status status;

    for (int k = 0; k < 4; ++k) {
        for (size_t i = 0; i < n; ++i)
            all[k * n + i] = 0.2f + 0.001f * (float)((i * 7 + (k == 2 ? 5 : 0)) % 89);
        stf_image_init(all + k * n, STF_DTYPE_F32, 1, SIDE, SIDE, sizeof(stf_image), &image[k]);
    }
    stf_image_init(support, STF_DTYPE_F32, 5, SIDE, SIDE, sizeof(stf_image), &s);
    expect(stf_context_set_log(context, note_log, &logged), "a log function is set");
    expect(stf_context_set_progress(context, note_progress, &log), "a progress function is set");
    expect(stf_job_create(context, "starfm", &job), "a STARFM job is made");
    expect(stf_job_set_int(context, job, "window", 301), "a window is set that takes a while");
    expect(stf_job_add_pair_image(context, job, "2001-11-25", &image[0], &image[1]), "its pair is added");
    expect(stf_job_set_target_image(context, job, "2002-01-12", &image[2]), "its target is set");
    status = stf_job_run_image(context, job, &image[3], NULL, &report);
    check(status == STF_STATUS_CANCELLED && report == NULL && log.calls == 1,
          "progress returning 0 stops the work, and no report is made", error_text());

    expect(stf_job_set_int(context, job, "window", 31), "a smaller window is set");
    log.stop_at = 0;
    log.last = 0.0;
    expect(stf_job_run_image(context, job, &image[3], &s, &report), "the same job runs to its end");
    check(log.calls >= 1 && log.backwards == 0, "progress moves forward within 0 and 1", "it did not");
    check(report && contains(stf_report_json(report), "\"method\":\"starfm\""), "the report names the method",
          stf_report_json(report));
    check(support[2 * n] == 48.0f && support[3 * n] == 1.0f && support[0] >= 1.0f && support[n] > 0.0f,
          "the support layer counts pixels and days", "it does not");
    stf_report_destroy(report);
    stf_job_destroy(job);
    stf_context_set_progress(context, NULL, NULL);
    stf_context_set_log(context, NULL, NULL);
    free(all);
    free(support);
}

static void errors(void) {
    float pixels[12] = {0};
    stf_image good, bad;
    stf_job *job = NULL, *none = NULL;
    const char *text = NULL;

    check(stf_context_create(NULL) == STF_STATUS_ARGUMENT, "NULL for a context is refused", "it was not");
    check(stf_image_init(pixels, 99, 1, 3, 4, sizeof(stf_image), &good) == STF_STATUS_ARGUMENT,
          "an unknown type is refused", "it was not");
    stf_image_init(pixels, STF_DTYPE_F32, 1, 3, 4, sizeof(stf_image), &good);
    refused(stf_job_create(context, "starfrm", &none), STF_STATUS_PARAMETER, "starfrm", "an unknown method is refused");
    refused(stf_job_create(context, NULL, &none), STF_STATUS_ARGUMENT, "method is NULL", "a method of NULL is refused");
    stf_job_create(context, "starfm", &job);
    refused(stf_job_set_int(context, job, "window", 500), STF_STATUS_PARAMETER, "got 500",
            "a window of 500 is refused");
    refused(stf_job_set_double(context, job, "window", 51.5), STF_STATUS_PARAMETER, "51.5",
            "a window of 51.5 is refused");
    refused(stf_job_set_string(context, job, "threads", "many"), STF_STATUS_PARAMETER, "many",
            "threads=many is refused");
    refused(stf_job_set_int(context, job, "widnow", 51), STF_STATUS_PARAMETER, "widnow", "an unknown name is refused");
    check(contains(stf_context_last_hint(context), "window"), "and its hint lists the valid names",
          stf_context_last_hint(context));
    bad = good;
    bad.struct_size = 12;
    refused(stf_job_set_target_image(context, job, NULL, &bad), STF_STATUS_ARGUMENT, "struct_size is 12",
            "a wrong struct_size is refused");
    bad = good;
    bad.cols = 0;
    refused(stf_job_set_target_image(context, job, NULL, &bad), STF_STATUS_ARGUMENT, "0 columns",
            "no columns are refused");
    refused(stf_job_set_target_image(context, job, "12 Jan 2002", &good), STF_STATUS_PARAMETER, "12 Jan 2002",
            "a date in words is refused");
    refused(stf_job_from_json(context, "{\"stfusion\": 1, \"method\": \"starfm\", \"colour\": 2}", NULL, &none),
            STF_STATUS_JOB, "colour", "a job with an unknown key is refused");
    refused(stf_job_run_image(context, job, &good, NULL, NULL), STF_STATUS_JOB, "no target image",
            "a job without images is refused");
    check(none == NULL, "refused calls leave their outputs alone", "they did not");
    expect(stf_job_set_int(context, job, "window", 31), "a job lives on after errors");
    check(stf_context_last_error(context)[0] == '\0', "success empties the error", error_text());

    expect(stf_job_add_pair(context, job, "2001-11-25", "f1.tif", "c1.tif"), "files are named");
    expect(stf_job_set_target(context, job, "2002-01-12", "c2.tif"), "a target is named");
    expect(stf_job_to_json(context, job, &text), "the job is written as JSON");
    check(contains(text, "\"window\": 31") && contains(text, "c2.tif"), "its JSON holds what was set", text);
    {
        stf_job *again = NULL;
        expect(stf_job_from_json(context, text, "/data", &again), "its JSON is read again");
        expect(stf_job_to_json(context, again, &text), "and written again");
        check(contains(text, "/data/c2.tif"), "with names in the given folder", text);
        stf_job_destroy(again);
    }
    stf_job_destroy(job);
}

static void texts(void) {
    const char *text = NULL;
    check(stf_abi_version() == STF_ABI_VERSION, "library and header have the same ABI", "they differ");
    check(strcmp(stf_version(), STF_VERSION) == 0, "library and header have the same version", stf_version());
    check(strcmp(stf_status_name(STF_STATUS_CANCELLED), "cancelled") == 0, "statuses have names", "wrong name");
    expect(stf_spec_json(context, &text), "the spec is told");
    check(contains(text, "\"starfm\"") && contains(text, "mask_presets"), "it lists methods and presets", text);
    expect(stf_methods_json(context, &text), "the methods are told");
    check(text && text[0] == '[' && contains(text, "coarse_increment"), "they are a list", text);
    expect(stf_job_schema_json(context, &text), "the job schema is told");
    check(contains(text, "$schema"), "it is a JSON schema", text);
    expect(stf_devices_json(context, &text), "the devices are told");
    check(contains(text, "\"cpu\"") && contains(text, "\"gpu\""), "they are the processor and the GPUs", text);
    expect(stf_installation_json(context, &text), "the installation is told");
    check(contains(text, STF_VERSION), "it holds the version", text);
}

int main(void) {
    if (stf_context_create(&context) != STF_STATUS_OK)
        return 1;
    expect(stf_context_set_threads(context, 2), "two threads are set");
    refused(stf_context_set_threads(context, -1), STF_STATUS_PARAMETER, "-1", "minus one thread is refused");
    expect(stf_context_set_memory(context, (uint64_t)512 << 20), "a budget is set");
    texts();
    layouts();
    progress_and_support();
    errors();
    stf_context_destroy(context);
    return checks_failed != 0;
}
