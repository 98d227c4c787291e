/* conv.h - loops that answering and learning convolutions share. Private to heads/. */
#ifndef LN_CONV_H
#define LN_CONV_H

#include "heads/heads.h"

/* `count` channels side by side at x from channel `first` of the layer on, `stride` floats from pixel to pixel,
 * -> y [pixels][in]. */
void ln__conv_depthwise(const ln__conv_layer *layer, const float *params, const float *x, int64_t stride, int64_t first,
                        int64_t count, float *y);
/* From a row's dy [pixels][in] and x [pixels][in]: adds to dweights [9][in]; dx [pixels][in] (may be NULL). */
void ln__conv_depthwise_backward(const ln__conv_layer *layer, const float *weights, const float *x, const float *dy, float *dweights,
                                 float *dx);

/* Where a grid's cells lie along one side of a map: cell i is pixels i * step .. i * step + length - 1. */
typedef struct ln__cell_side { int64_t step, length; } ln__cell_side;
ln__cell_side ln__cell_side_of(int64_t side, int64_t cells);

static inline int64_t ln__conv_pixels(const ln__conv_layer *layer)
{
    return layer->down * layer->across;
}

#endif
