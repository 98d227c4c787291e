/* cli_drift.c - a word about rows that are not like those of training. */
#include "tool.h"

void print_drift(const char *command, uint32_t point, double p)
{
    static const double significant = 0.001;

    if (!(p < significant))
        return;                 /* NaN: the model does not say */
    fprintf(stderr, "leenet %s: drift: at operating point %u these pictures leave at other exits than those of training "
            "(p = %.1g), so accuracy and cost measured there may not hold. Check --preprocess; if it is right, train the "
            "gates on pictures like these (leenet train --gate-data)\n", command, point, p);
}
