/* Files through the C interface: files FOLDER, where f1, c1, c2 and truth.tif are constant images. */
#include <stdlib.h>

#include <stfusion/stfusion.h>

#include "check.h"

static stf_context *context;

static const char *error_text(void) { return stf_context_last_error(context); }

static void expect(stf_status status, const char *what) { check(status == STF_STATUS_OK, what, error_text()); }

static int exists(const char *name) {
    FILE *file = fopen(name, "rb");
    if (file)
        fclose(file);
    return file != NULL;
}

int main(int argc, char **argv) {
    char f1[600], c1[600], c2[600], out[600], truth[600], request[2600];
    stf_job *job = NULL;
    stf_report *report = NULL;
    const char *text = NULL;
    stf_status status;

    if (argc != 2 || stf_context_create(&context) != STF_STATUS_OK)
        return 2;
    snprintf(f1, sizeof f1, "%s/f1.tif", argv[1]);
    snprintf(c1, sizeof c1, "%s/c1.tif", argv[1]);
    snprintf(c2, sizeof c2, "%s/c2.tif", argv[1]);
    snprintf(out, sizeof out, "%s/out.tif", argv[1]);
    snprintf(truth, sizeof truth, "%s/truth.tif", argv[1]);

    expect(stf_image_info_json(context, f1, &text), "an image is described");
    check(contains(text, "64"), "with its size", text);
    expect(stf_job_create(context, "coarse_increment", &job), "a job is made");
    expect(stf_job_add_pair(context, job, "2001-11-25", f1, c1), "a pair of files is added");
    expect(stf_job_set_target(context, job, "2002-01-12", c2), "a target file is set");
    expect(stf_job_set_string(context, job, "output", out), "the output is named");
    expect(stf_job_inspect_json(context, job, &text), "the job is inspected");
    check(contains(text, "2002-01-12"), "with its dates", text);
    check(!exists(out), "inspecting writes nothing", out);
    expect(stf_job_run(context, job, &report), "the job runs");
    check(exists(out) && contains(stf_report_json(report), "out.tif"), "and its report names the output",
          stf_report_json(report));
    status = stf_job_run(context, job, NULL);
    check(status == STF_STATUS_EXISTS && contains(error_text(), out), "an existing output is not replaced",
          error_text());
    expect(stf_job_set_bool(context, job, "overwrite", 1), "unless asked for");
    expect(stf_job_run(context, job, NULL), "then it is");

    snprintf(request, sizeof request, "{\"prediction\": \"%s\", \"truth\": \"%s\", \"fine\": [{\"image\": \"%s\"}]}",
             out, truth, f1);
    expect(stf_assess_json(context, request, &text), "the prediction is assessed");
    check(contains(text, "rmse"), "with its RMSE", text);
    status = stf_assess_json(context, "{\"prediction\": 1}", &text);
    check(status == STF_STATUS_JOB, "a malformed request is refused", error_text());

    status = stf_job_compare_json(context, job, NULL, &text);
    check(status == STF_STATUS_DATA && contains(error_text(), "1 pair"), "one pair cannot be compared", error_text());
    expect(stf_job_add_pair(context, job, "2002-01-12", truth, c2), "a second pair is added");
    snprintf(request, sizeof request, "{\"methods\": [\"starfm:window=5\"], \"report\": \"%s.html\"}", out);
    expect(stf_job_compare_json(context, job, request, &text), "methods are compared");
    check(contains(text, "\"recommendation\"") && contains(text, "\"starfm:window=5\""),
          "with a recommendation and the settings", text);
    snprintf(request, sizeof request, "%s.html", out);
    check(exists(request), "and the report is written", request);
    status = stf_job_compare_json(context, job, "{\"method\": 1}", &text);
    check(status == STF_STATUS_JOB && contains(error_text(), "method"), "malformed options are refused", error_text());

    expect(stf_job_set_target(context, job, "2002-01-12", "/nowhere/c2.tif"), "a missing file can be named");
    status = stf_job_run(context, job, NULL);
    check(status == STF_STATUS_READ && contains(error_text(), "/nowhere/c2.tif") &&
              stf_context_last_hint(context)[0] != '\0',
          "but not read, and the error names it", error_text());

    stf_report_destroy(report);
    stf_job_destroy(job);
    stf_context_destroy(context);
    return checks_failed != 0;
}
