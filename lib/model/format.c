/* format.c - lists of numbers as metadata text. */
#include "model/format.h"

#include <math.h>
#include <string.h>

ln_status ln__format_numbers(double *out, size_t count, const char *text, const char *key,
                             const char *file, ln_error *err)
{
    char word[40];

    for (size_t i = 0; i < count; i++) {
        size_t length = strcspn(text, " ");
        bool last = i + 1 == count;
        if (length == 0 || length >= sizeof word || last != (text[length] == '\0'))
            return ln__fail(err, LN_E_FORMAT, "%s: %s: %zu numbers were expected, number %zu does not fit",
                            file, key, count, i + 1);
        memcpy(word, text, length);
        word[length] = '\0';
        if (!ln__parse_double(word, &out[i]) || !isfinite(out[i]))
            return ln__fail(err, LN_E_FORMAT, "%s: %s: '%s' is not a number", file, key, word);
        text += length + !last;
    }
    return LN_OK;
}

void ln__format_print(ln__buffer *to, const double *values, size_t count)
{
    char number[32];

    for (size_t i = 0; i < count; i++) {
        ln__format_double(number, values[i]);
        ln__buffer_printf(to, "%s%s", i ? " " : "", number);
    }
}

bool ln__format_whole(double value, double low, double high)
{
    return value >= low && value <= high && value == floor(value);
}
