/* Fuses images that lie in plain buffers, with the C interface.
 *
 *   cc fuse.c $(pkg-config --cflags --libs stfusion) -o fuse && ./fuse
 */
#include <stdio.h>
#include <stdlib.h>

#include <stfusion/stfusion.h>

enum { ROWS = 96, COLS = 96, SCALE = 16, COARSE_ROWS = ROWS / SCALE, COARSE_COLS = COLS / SCALE };

static int16_t fine[ROWS][COLS];               /* 30 November, as stored: reflectance x 10000 */
static float coarse[COARSE_ROWS][COARSE_COLS]; /* 30 November */
static float target[COARSE_ROWS][COARSE_COLS]; /* 16 January */
static float prediction[ROWS][COLS];           /* the fine image of 16 January */

/* Stripes of two crops; from one date to the other, one of them greens. */
static void make_images(void) {
    for (int row = 0; row < ROWS; ++row) {
        for (int col = 0; col < COLS; ++col) {
            const int greens = col / 32 % 2;
            fine[row][col] = (int16_t)(greens ? 2500 : 800);
            coarse[row / SCALE][col / SCALE] = greens ? 0.25f : 0.08f;
            target[row / SCALE][col / SCALE] = greens ? 0.35f : 0.08f;
        }
    }
}

static int tell_progress(double fraction, const char *message, void *user) {
    (void)user;
    fprintf(stderr, "%3.0f %% %s\n", 100.0 * fraction, message);
    return 1; /* 0 would stop the work */
}

int main(void) {
    stf_context *context = NULL;
    stf_job *job = NULL;
    stf_report *report = NULL;
    stf_image fine_image, coarse_image, target_image, prediction_image;
    stf_status status;

    make_images();
    stf_image_init(fine, STF_DTYPE_I16, 1, ROWS, COLS, sizeof(stf_image), &fine_image);
    fine_image.scale = 0.0001;
    fine_image.nodata = -28672;
    fine_image.has_nodata = 1;
    stf_image_init(coarse, STF_DTYPE_F32, 1, COARSE_ROWS, COARSE_COLS, sizeof(stf_image), &coarse_image);
    stf_image_init(target, STF_DTYPE_F32, 1, COARSE_ROWS, COARSE_COLS, sizeof(stf_image), &target_image);
    stf_image_init(prediction, STF_DTYPE_F32, 1, ROWS, COLS, sizeof(stf_image), &prediction_image);

    status = stf_context_create(&context);
    if (status == STF_STATUS_OK)
        status = stf_context_set_progress(context, tell_progress, NULL);
    if (status == STF_STATUS_OK)
        status = stf_job_create(context, "starfm", &job);
    if (status == STF_STATUS_OK)
        status = stf_job_set_int(context, job, "window", 31);
    if (status == STF_STATUS_OK)
        status = stf_job_set_string(context, job, "coarse_resampling", "bilinear");
    if (status == STF_STATUS_OK)
        status = stf_job_add_pair_image(context, job, "2001-11-30", &fine_image, &coarse_image);
    if (status == STF_STATUS_OK)
        status = stf_job_set_target_image(context, job, "2002-01-16", &target_image);
    if (status == STF_STATUS_OK)
        status = stf_job_run_image(context, job, &prediction_image, NULL, &report);

    if (status == STF_STATUS_OK) {
        printf("predicted %.2f and %.2f\n", prediction[48][16], prediction[48][48]);
        printf("%s\n", stf_report_json(report));
    } else {
        fprintf(stderr, "%s error: %s\n%s\n", stf_status_name(status), stf_context_last_error(context),
                stf_context_last_hint(context));
    }
    stf_report_destroy(report);
    stf_job_destroy(job);
    stf_context_destroy(context);
    return status == STF_STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
