/* cli_drift.c - a word about rows that are not like those of training. */
#include "tool.h"

void print_drift(const char *command, int64_t point, double p)
{
    static const double significant = 0.001;

    if (!(p < significant))
        return;                 /* NaN: the model does not say */
    fprintf(stderr, "leenet %s: drift: ", command);
    if (point >= 0)
        fprintf(stderr, "at operating point %lld ", (long long)point);
    fprintf(stderr, "these pictures leave at other exits than those of training (p = %.1g), so the accuracy, cost and bounds "
            "measured there may not hold. Check --preprocess; if it is right, train the gates on pictures like these "
            "(leenet train --gate-data)\n", p);
}
