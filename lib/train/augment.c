/* augment.c - a picture changed as another photograph of the same thing would be. */
#include "train/train.h"

#include <math.h>
#include <string.h>

/* Small pictures would only be blurred by a change of scale. */
enum { ZOOM_FROM = 64 };

typedef struct change { bool flip; double zoom, up, left, contrast, tint[4]; } change;

static double between(ln__rng *rng, double low, double high)
{
    return low + (high - low) * ln__rng_double(rng);
}

static change draw(ln__rng *rng, int64_t height, int64_t width)
{
    change c = { .flip = ln__rng_double(rng) < 0.5, .zoom = 1.0 };

    if (LN__MIN(height, width) >= ZOOM_FROM)
        c.zoom = between(rng, 1.0, 1.25);
    c.up = floor(between(rng, -0.125, 0.125) * (double)height + 0.5);
    c.left = floor(between(rng, -0.125, 0.125) * (double)width + 0.5);
    c.contrast = between(rng, 0.8, 1.2);
    for (size_t i = 0; i < LN__COUNT(c.tint); i++)
        c.tint[i] = between(rng, -0.2, 0.2);
    return c;
}

/* Where output pixel i of a line comes from: two neighbours and the share of the second. Pixels outside repeat the edge. */
typedef struct source { int64_t low, high; float share; } source;

static source source_of(int64_t i, int64_t length, double zoom, double shift, bool flip)
{
    double middle = 0.5 * (double)(length - 1);
    double at = (flip ? middle - (double)i : (double)i - middle) / zoom + middle + shift;

    at = fmin(fmax(at, 0.0), (double)(length - 1));
    int64_t low = (int64_t)at;
    return (source){ low, LN__MIN(low + 1, length - 1), (float)(at - (double)low) };
}

static void move_plane(float *to, const float *from, int64_t height, int64_t width, const change *c)
{
    for (int64_t y = 0; y < height; y++) {
        source v = source_of(y, height, c->zoom, c->up, false);
        const float *above = from + v.low * width, *below = from + v.high * width;

        for (int64_t x = 0; x < width; x++) {
            source h = source_of(x, width, c->zoom, c->left, c->flip);
            float first = above[h.low] + h.share * (above[h.high] - above[h.low]);
            float second = below[h.low] + h.share * (below[h.high] - below[h.low]);

            to[y * width + x] = first + v.share * (second - first);
        }
    }
}

/* Contrast about the plane's mean, and a shift in units of its standard deviation. */
static void recolour_plane(float *plane, int64_t pixels, double contrast, double tint)
{
    double sum = 0, squares = 0;

    for (int64_t i = 0; i < pixels; i++)
        sum += (double)plane[i];
    double mean = sum / (double)pixels;
    for (int64_t i = 0; i < pixels; i++)
        squares += ((double)plane[i] - mean) * ((double)plane[i] - mean);
    float scale = (float)contrast;
    float shift = (float)(mean - contrast * mean + tint * sqrt(squares / (double)pixels));
    for (int64_t i = 0; i < pixels; i++)
        plane[i] = plane[i] * scale + shift;
}

void ln__augment(float *input, float *scratch, uint32_t channels, uint32_t height, uint32_t width, ln__rng *rng)
{
    int64_t pixels = (int64_t)height * width;
    change c = draw(rng, height, width);

    for (uint32_t k = 0; k < channels; k++) {
        float *plane = input + k * pixels;

        move_plane(scratch, plane, height, width, &c);
        recolour_plane(scratch, pixels, c.contrast, c.tint[k % LN__COUNT(c.tint)]);
        memcpy(plane, scratch, (size_t)pixels * sizeof *plane);
    }
}
