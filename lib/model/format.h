/* format.h - the leenet.* metadata keys (docs/format.md) and their number lists. */
#ifndef LN_FORMAT_H
#define LN_FORMAT_H

#include "base/base.h"

#define LN__FORMAT_VERSION       "1"
#define LN__KEY_FORMAT           "leenet.format"
#define LN__KEY_PREPROCESS       "leenet.preprocess"
#define LN__KEY_CLASSES          "leenet.classes"
#define LN__KEY_CLASS            "leenet.class."
#define LN__KEY_NETWORK_CLASSES  "leenet.network_classes"
#define LN__KEY_FINAL            "leenet.final"
#define LN__KEY_EXITS            "leenet.exits"
#define LN__KEY_EXIT             "leenet.exit."
#define LN__KEY_POINTS           "leenet.points"
#define LN__KEY_POINT            "leenet.point."
#define LN__KEY_CURVE            "leenet.curve."
#define LN__KEY_DEFAULT_POINT    "leenet.default_point"
#define LN__KEY_DEFAULT_TARGET   "leenet.default_target"
#define LN__KEY_KERNELS          "leenet.kernels"

/* Exactly `count` numbers separated by single spaces, all finite. */
ln_status ln__format_numbers(double *out, size_t count, const char *text, const char *key,
                             const char *file, ln_error *err);
bool ln__format_whole(double value, double low, double high);   /* a whole number in that range */
void ln__format_print(ln__buffer *to, const double *values, size_t count);

#endif
