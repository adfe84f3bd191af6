/* Checks of the consumer programs: each prints a line of TAP, and the program ends with the number that failed. */
#ifndef STFUSION_TESTS_CHECK_H
#define STFUSION_TESTS_CHECK_H

#include <stdio.h>
#include <string.h>

static int checks_done = 0;
static int checks_failed = 0;

static void check(int holds, const char *what, const char *found) {
    ++checks_done;
    if (holds) {
        printf("ok - %s\n", what);
    } else {
        ++checks_failed;
        printf("not ok - %s: %s\n", what, found);
    }
}

/* Whether a text contains another. */
static int contains(const char *text, const char *part) { return text != NULL && strstr(text, part) != NULL; }

#endif
