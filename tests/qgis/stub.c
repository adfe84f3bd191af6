/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stands in for the library where a test needs one that does not fit: ABI is the number it claims, GDAL the JSON of its
 * GDAL. The functions that the plugin does not call are added by the test. */
#include <stdint.h>

#ifndef ABI
#define ABI 0
#endif
#ifndef GDAL
#define GDAL null
#endif
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

static int context;

#ifdef UNRESOLVED
uint32_t function_of_no_library(void);
uint32_t stf_abi_version(void) { return function_of_no_library(); }
#else
uint32_t stf_abi_version(void) { return ABI; }
#endif
const char *stf_version(void) { return "9.8.7"; }
int stf_context_create(void **out) {
    *out = &context;
    return 0;
}
void stf_context_destroy(void *c) { (void)c; }
int stf_context_set_progress(void *c, void *function, void *user) { return (void)c, (void)function, (void)user, 0; }
int stf_context_set_log(void *c, void *function, void *user) { return (void)c, (void)function, (void)user, 0; }
const char *stf_context_last_error(const void *c) { return (void)c, "stub"; }
const char *stf_context_last_hint(const void *c) { return (void)c, ""; }
int stf_installation_json(void *c, const char **out) {
    (void)c;
    *out = "{\"version\": \"9.8.7\", \"gdal\": " TEXT(GDAL) "}";
    return 0;
}
#ifndef INCOMPLETE
int stf_spec_json(void *c, const char **out) { return (void)c, *out = "{}", 0; }
int stf_image_info_json(void *c, const char *name, const char **out) { return (void)c, (void)name, *out = "{}", 10; }
int stf_job_from_json(void *c, const char *json, const char *folder, void **out) {
    return (void)c, (void)json, (void)folder, (void)out, 10;
}
void stf_job_destroy(void *job) { (void)job; }
int stf_job_run(void *c, const void *job, void **out) { return (void)c, (void)job, (void)out, 10; }
const char *stf_report_json(const void *report) { return (void)report, "{}"; }
void stf_report_destroy(void *report) { (void)report; }
int stf_assess_json(void *c, const char *request, const char **out) { return (void)c, (void)request, (void)out, 10; }
#endif
