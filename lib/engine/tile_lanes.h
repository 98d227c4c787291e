/* tile_lanes.h - convolutions by tiles of registers, for one number of lanes.
 * kernel_tile.c includes this file once for each kind of CPU, having defined
 *
 *   LANES       floats of a vector, which is the channel block of the layout
 *   MOST        sums that fit the CPU's registers beside weights and input
 *   NAME(x)     x with the kind's suffix
 *
 * and, where the CPU has instructions for it,
 *
 *   TARGET      the attribute that has code made for that CPU
 *   LARGER(a, b), SMALLER(a, b)     of two vectors; b where one is no number
 *
 * A panel is n places (pixels, or Winograd's tiles) by q channel blocks of the
 * output. Its sums stay in registers while the input's channels go by: each
 * number of the input is spread over a vector and multiplied by q vectors of
 * weights. All these names are undefined again at the end. */

#if !defined(TARGET)
#  define TARGET
#endif
#if !defined(LARGER)
#  define SELECT(which, a, b) ((V)(((M)(which) & (M)(a)) | (~(M)(which) & (M)(b))))
#  define LARGER(a, b) SELECT((a) > (b), a, b)
#  define SMALLER(a, b) SELECT((a) < (b), a, b)
#endif

typedef float NAME(vec) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t NAME(mask) __attribute__((vector_size(LANES * 4)));
#define V NAME(vec)
#define M NAME(mask)

TARGET LN__INLINE V *NAME(at)(float *p) { return (V *)(void *)p; }
TARGET LN__INLINE const V *NAME(of)(const float *p) { return (const V *)(const void *)p; }

/* ---- Panels ---------------------------------------------------------------------- */

TARGET LN__INLINE void NAME(limit)(V *v, float least, float most)
{
    V low = (V){ 0 } + least, high = (V){ 0 } + most;
    *v = LARGER(low, *v);
    *v = SMALLER(high, *v);
}

/* To the last bit but one: e^v = 2^n e^r with |r| at most half of ln 2, where six terms of the series are enough. */
TARGET LN__INLINE void NAME(exponential)(V *v)
{
    NAME(limit)(v, -87.0F, 88.0F);
    V n = *v * 1.44269504F, magic = (V){ 0 } + 12582912.0F;     /* 1.5 * 2^23: adding it rounds to an integer */
    n = (n + magic) - magic;
    V r = (*v - n * 0.693359375F) + n * 2.12194440e-4F;
    V e = r * (1.0F / 720) + 1.0F / 120;
    e = e * r + 1.0F / 24;
    e = e * r + 1.0F / 6;
    e = e * r + 0.5F;
    e = e * r + 1.0F;
    e = e * r + 1.0F;
    M power = (__builtin_convertvector(n, M) + 127) << 23;
    *v = e * (V)power;
}

TARGET LN__INLINE void NAME(activate)(V *v, const ln__job *j)
{
    V x = *v;
    switch (j->post_kind) {
    case LN__LEAKY_RELU: {
        M below = x < (V){ 0 };
        *v = (V)((below & (M)(x * j->post_a)) | (~below & (M)x));
        return;
    }
    case LN__HARD_SIGMOID:
        *v = x * j->post_a + j->post_b;
        NAME(limit)(v, 0.0F, 1.0F);
        return;
    case LN__HARD_SWISH:
        *v = x * (1.0F / 6.0F) + 0.5F;
        NAME(limit)(v, 0.0F, 1.0F);
        *v = *v * x;
        return;
    default:            /* sigmoid, swish */
        *v = -x;
        NAME(exponential)(v);
        if (j->post_kind == LN__SIGMOID)
            x = (V){ 0 } + 1.0F;
        *v = x / (1.0F + *v);
    }
}

/* What has been stored goes through the job's activation. */
TARGET static void NAME(activate_panel)(const panel *p, int64_t n, int64_t q)
{
    for (int64_t c = 0; c < q; c++)
        for (int64_t r = 0; r < n; r++)
            NAME(activate)(NAME(at)(p->y + c * p->y_step + (p->to ? p->to[r] : r * LANES)), p->activation);
}

TARGET LN__INLINE void NAME(finish)(V *sum, const float *bias, float least, float most)
{
    *sum += *NAME(of)(bias);
    NAME(limit)(sum, least, most);
}

/* n and q are constant at each call, so that everything unrolls; `even`: places lie side by side. */
TARGET LN__INLINE void NAME(panel)(int n, int q, bool even, const panel *p)
{
    V sum[MOST];
    const float *w = p->weights, *ahead = p->ahead;
    int64_t blocks = p->blocks, lines = p->lines, y_step = p->y_step;
    LN__UNROLL for (int i = 0; i < n * q; i++)
        sum[i] = (V){ 0 };
    if (p->start) {
        const float *start = p->start;
        LN__UNROLL for (int i = 0; i < n * q; i++)
            sum[i] = *NAME(of)(start + i % q * y_step + (even ? i / q * LANES : p->to[i / q]));
    }
    for (int64_t b = 0; b < blocks; b++) {
        const float *x[MOST], *first = p->x + p->at[b];
        if (!even) {
            LN__UNROLL for (int r = 0; r < n; r++)
                x[r] = first + p->from[r];
        }
        for (int64_t i = 0; i < lines; i++, ahead += 16)
            __builtin_prefetch(ahead, 0, 2);
        for (int64_t l = 0; l < LANES; l++, w += q * LANES) {
            const float *number = first + l;
            V weights[4];
            LN__UNROLL for (int c = 0; c < q; c++)
                weights[c] = *NAME(of)(w + c * LANES);
            LN__UNROLL for (int i = 0; i < n * q; i++)
                sum[i] += (even ? number[i / q * LANES] : x[i / q][l]) * weights[i % q];
        }
    }
    if (p->bias) {
        const float *bias = p->bias;
        float low = p->low, high = p->high;
        LN__UNROLL for (int i = 0; i < n * q; i++)
            NAME(finish)(&sum[i], bias + i % q * LANES, low, high);
    }
    float *y = p->y;
    LN__UNROLL for (int i = 0; i < n * q; i++)
        *NAME(at)(y + i % q * y_step + (even ? i / q * LANES : p->to[i / q])) = sum[i];
}

/* A function for each size, or the compiler would share registers between them all. */
#define SIZE(n, q)                                                                                    \
    TARGET static void NAME(even_##n##_##q)(const panel *p) { NAME(panel)(n, q, true, p); }           \
    TARGET static void NAME(apart_##n##_##q)(const panel *p) { NAME(panel)(n, q, false, p); }
#define SIX(of, q) of(1, q) of(2, q) of(3, q) of(4, q) of(5, q) of(6, q)
#define TWELVE(of, q) SIX(of, q) of(7, q) of(8, q) of(9, q) of(10, q) of(11, q) of(12, q)
TWELVE(SIZE, 1)
#if MOST == 24
TWELVE(SIZE, 2)
SIX(SIZE, 4)
#else
SIX(SIZE, 2)
#endif
#undef SIZE

TARGET static void NAME(multiply)(int64_t n, int64_t q, const panel *p)
{
#define EVEN(n, q) [n] = NAME(even_##n##_##q),
#define APART(n, q) [n] = NAME(apart_##n##_##q),
    static void (*const size[2][5][13])(const panel *) = {
#if MOST == 24
        { [1] = { TWELVE(EVEN, 1) }, [2] = { TWELVE(EVEN, 2) }, [4] = { SIX(EVEN, 4) } },
        { [1] = { TWELVE(APART, 1) }, [2] = { TWELVE(APART, 2) }, [4] = { SIX(APART, 4) } },
#else
        { [1] = { TWELVE(EVEN, 1) }, [2] = { SIX(EVEN, 2) } },
        { [1] = { TWELVE(APART, 1) }, [2] = { SIX(APART, 2) } },
#endif
    };
#undef EVEN
#undef APART
#undef SIX
#undef TWELVE
    size[p->to != NULL][q][n](p);
    if (p->bias && p->activation)
        NAME(activate_panel)(p, n, q);
}

/* All places by one group of output blocks: a slice of the weights that stays in the cache, over panels of about
 * the same size, then the next slice, which was asked for meanwhile. */
TARGET LN__INLINE void NAME(panels)(int64_t q, const panel *whole, int64_t places)
{
    int64_t most = LN__MIN(MOST / q, 12), panels = (places + most - 1) / most;
    int64_t block_floats = LANES * q * LANES, slices = (whole->blocks * block_floats + SLICE_FLOATS - 1) / SLICE_FLOATS;
    panel p = *whole;
    for (int64_t s = 0; s < slices; s++) {
        int64_t first = whole->blocks * s / slices, end = whole->blocks * (s + 1) / slices;
        p.at = whole->at + first;
        p.blocks = end - first;
        p.weights = whole->weights + first * block_floats;
        p.start = s ? whole->y : whole->start;
        p.bias = s + 1 < slices ? NULL : whole->bias;
        const float *ahead = s + 1 < slices ? p.weights + p.blocks * block_floats : whole->ahead;
        p.lines = ahead ? (block_floats / 16 + panels - 1) / panels : 0;
        for (int64_t i = 0; i < panels; i++) {
            int64_t place = places * i / panels;
            if (whole->to) {
                p.from = whole->from + place;
                p.to = whole->to + place;
            } else {
                p.x = whole->x + place * LANES;
                p.y = whole->y + place * LANES;
                p.start = s ? p.y : whole->start ? whole->start + place * LANES : NULL;
            }
            p.ahead = ahead ? ahead + i * p.lines * 16 * p.blocks : NULL;
            NAME(multiply)(places * (i + 1) / panels - place, q, &p);
        }
    }
}

/* ---- Direct ------------------------------------------------------------------------------ */

/* Output lines [line, line + n) of a row need these of the input, with what is around it as zeros. */
TARGET LN__INLINE void NAME(pad)(const ln__job *j, int64_t row, int64_t line, int64_t n, float *to)
{
    int64_t high = (n - 1) * j->stride[1] + (j->kernel[1] - 1) * j->dilation[1] + 1;
    int64_t wide = (j->out[2] - 1) * j->stride[2] + (j->kernel[2] - 1) * j->dilation[2] + 1;
    int64_t top = line * j->stride[1] - j->begin[1], left = -j->begin[2];
    int64_t first = LN__MAX(left, 0), end = LN__MIN(left + wide, j->in[2]);
    for (int64_t b = 0; b < j->gx.groups; b++) {
        const float *x = j->x + row * j->gx.row_step + b * j->gx.group_step;
        float *y = to + b * j->plane;
        for (int64_t i = 0; i < high; i++, y += wide * LANES) {
            if (top + i < 0 || top + i >= j->in[1] || first >= end) {
                memset(y, 0, (size_t)(wide * LANES) * sizeof *y);
                continue;
            }
            memset(y, 0, (size_t)((first - left) * LANES) * sizeof *y);
            memcpy(y + (first - left) * LANES, x + ((top + i) * j->in[2] + first) * LANES, (size_t)((end - first) * LANES) * sizeof *y);
            memset(y + (end - left) * LANES, 0, (size_t)((left + wide - end) * LANES) * sizeof *y);
        }
    }
}

TARGET LN__INLINE const float *NAME(first_weights)(const ln__job *j, const tile_range *r, int64_t rows)
{
    int64_t block;
    ln__tile_group(&block, j->gy.groups, LANES, r->from);
    return (const float *)j->weights + block * LANES * rows * LANES;
}

/* All groups of output blocks at some places; `more`: of further places afterwards. */
TARGET LN__INLINE void NAME(direct_groups)(const ln__job *j, const tile_range *r, panel *p, int64_t places, bool more)
{
    const float *start = p->start;
    float *y = p->y;
    for (int64_t g = r->from; g < r->to; g++) {
        int64_t block, q = ln__tile_group(&block, j->gy.groups, LANES, g);
        p->weights = (const float *)j->weights + block * LANES * p->blocks * LANES;
        p->bias = j->bias + block * LANES;
        p->y = y + block * p->y_step;
        p->start = start ? start + block * p->y_step : NULL;
        p->ahead = g + 1 < r->to ? p->weights + q * LANES * p->blocks * LANES : more ? NAME(first_weights)(j, r, p->blocks) : j->next;
        NAME(panels)(q, p, places);
    }
}

/* Pixels of one row, side by side in input and output. */
TARGET LN__INLINE void NAME(direct_even)(const ln__job *j, const tile_range *r, int64_t first, int64_t n)
{
    int64_t row = first / j->gy.pixels, place = first % j->gy.pixels * LANES, to = row * j->gy.row_step + place;
    panel p = { .x = j->x + row * j->gx.row_step + place, .y = j->y + to, .start = j->other ? j->other + to : NULL,
                .at = j->at, .blocks = j->blocks, .y_step = j->gy.group_step,
                .low = j->low, .high = j->high, .activation = activation(j) };
    NAME(direct_groups)(j, r, &p, n, first + n < r->end);
}

/* Pixels of any rows, apart from one another. */
TARGET LN__INLINE void NAME(direct_apart)(const ln__job *j, const tile_range *r, int64_t first, int64_t n)
{
    int64_t from[TILE_PLACES], to[TILE_PLACES];
    panel p = { .x = j->x, .y = j->y, .start = j->other, .at = j->at, .blocks = j->blocks, .from = from, .to = to,
                .y_step = j->gy.group_step, .low = j->low, .high = j->high, .activation = activation(j) };
    for (int64_t i = 0; i < n; i++) {
        int64_t row = (first + i) / j->gy.pixels, pixel = (first + i) % j->gy.pixels;
        int64_t line = pixel / j->out[2] * j->stride[1], column = pixel % j->out[2] * j->stride[2];
        from[i] = row * j->gx.row_step + (line * j->in[2] + column) * LANES;
        to[i] = row * j->gy.row_step + pixel * LANES;
    }
    NAME(direct_groups)(j, r, &p, n, first + n < r->end);
}

TARGET static void NAME(direct)(const ln__job *j, const tile_range *r, float *scratch)
{
    bool even = j->stride[1] == 1 && j->stride[2] == 1 && j->in[2] == j->out[2] && (j->gx.rows == 1 || j->gy.pixels >= 24);
    (void)scratch;
    for (int64_t first = r->first, n; first < r->end; first += n) {
        int64_t left = r->end - first;
        if (even)
            left = LN__MIN(left, j->gy.pixels - first % j->gy.pixels);
        int64_t chunks = (left + j->chunk - 1) / j->chunk;
        n = (left + chunks - 1) / chunks;
        if (even)
            NAME(direct_even)(j, r, first, n);
        else
            NAME(direct_apart)(j, r, first, n);
    }
}

/* Lines are copied, with zeros around them. */
TARGET static void NAME(padded)(const ln__job *j, const tile_range *r, float *scratch)
{
    int64_t from[TILE_PLACES], to[TILE_PLACES], columns = j->out[2];
    int64_t wide = (columns - 1) * j->stride[2] + (j->kernel[2] - 1) * j->dilation[2] + 1;
    for (int64_t k = 0; k < j->chunk * columns; k++) {
        from[k] = (k / columns * j->stride[1] * wide + k % columns * j->stride[2]) * LANES;
        to[k] = k * LANES;
    }
    for (int64_t i = r->first, n; i < r->end; i += n) {
        int64_t row = i / j->out[1], line = i % j->out[1], chunks = (j->out[1] - line + j->chunk - 1) / j->chunk;
        n = LN__MIN(r->end - i, (j->out[1] - line + chunks - 1) / chunks);
        int64_t place = row * j->gy.row_step + line * columns * LANES;
        NAME(pad)(j, row, line, n, scratch);
        panel p = { .x = scratch, .y = j->y + place, .start = j->other ? j->other + place : NULL, .at = j->at, .blocks = j->blocks,
                    .from = from, .to = to, .y_step = j->gy.group_step, .low = j->low, .high = j->high, .activation = activation(j) };
        NAME(direct_groups)(j, r, &p, n * columns, i + n < r->end);
    }
}

/* ---- Winograd's transforms of one line (docs/methods.md) ---------------------------------- */

#define HALF_ROOT 0.70710678118654752F
#define ROOT 1.41421356237309505F

TARGET LN__INLINE void NAME(input_line)(int edge, const V *d, int step, V *v)
{
    if (edge == 2) {
        v[0] = d[0] - d[2 * step];
        v[1] = d[step] + d[2 * step];
        v[2] = d[2 * step] - d[step];
        v[3] = d[step] - d[3 * step];
        return;
    }
    V a = d[4 * step] - 2.0F * d[2 * step], b = HALF_ROOT * d[3 * step] - ROOT * d[step];
    V e = d[4 * step] - 0.5F * d[2 * step], f = ROOT * d[3 * step] - HALF_ROOT * d[step];
    v[0] = d[0] - 2.5F * d[2 * step] + d[4 * step];
    v[1] = a + b;
    v[2] = a - b;
    v[3] = e + f;
    v[4] = e - f;
    v[5] = d[step] - 2.5F * d[3 * step] + d[5 * step];
}

TARGET LN__INLINE void NAME(output_line)(int edge, const V *m, int step, V *y)
{
    V a = m[step] + m[2 * step], b = m[step] - m[2 * step];
    if (edge == 2) {
        y[0] = m[0] + a;
        y[1] = b - m[3 * step];
        return;
    }
    V e = m[3 * step] + m[4 * step], f = m[3 * step] - m[4 * step];
    y[0] = m[0] + a + e;
    y[1] = HALF_ROOT * b + ROOT * f;
    y[2] = 0.5F * a + 2.0F * e;
    y[3] = 0.5F * HALF_ROOT * b + 2.0F * ROOT * f + m[5 * step];
}

#undef HALF_ROOT
#undef ROOT

/* Tiles of the input side by side, zeros around the map, as frequencies v[f * v_step]. Columns are transformed once for
 * both tiles they belong to. */
TARGET LN__INLINE void NAME(take)(int edge, const ln__job *j, const float *x, int64_t top, int64_t left, int64_t tiles, float *v, int64_t v_step)
{
    int side = edge + 2;
    int64_t columns = tiles * edge + 2, first = LN__MIN(LN__MAX(-left, 0), columns), end = LN__MAX(LN__MIN(j->in[2] - left, columns), first);
    V turned[(4 * TILES_AT_ONCE + 2) * 6], zero = { 0 };
    const float *line[6];
    int64_t step[6];
    for (int i = 0; i < side; i++) {
        bool inside = top + i >= 0 && top + i < j->in[1];
        line[i] = inside ? x + ((top + i) * j->in[2] + left) * LANES : (const float *)(const void *)&zero;
        step[i] = inside ? LANES : 0;
    }
    memset(turned, 0, (size_t)(first * side) * sizeof turned[0]);
    for (int64_t c = first; c < end; c++) {
        V d[6];
        LN__UNROLL for (int i = 0; i < side; i++)
            d[i] = *NAME(of)(line[i] + c * step[i]);
        NAME(input_line)(edge, d, 1, turned + c * side);
    }
    memset(turned + end * side, 0, (size_t)((columns - end) * side) * sizeof turned[0]);
    for (int64_t t = 0; t < tiles; t++)
        LN__UNROLL for (int i = 0; i < side; i++) {
            float *to = v + i * side * v_step + t * LANES;
            V out[6];
            NAME(input_line)(edge, turned + t * edge * side + i, side, out);
            ANEW(to);
            LN__UNROLL for (int k = 0; k < side; k++)
                *NAME(at)(to + k * v_step) = out[k];
        }
}

/* A finished number of the output. */
TARGET LN__INLINE void NAME(put)(const panel *p, const V *y, int64_t to)
{
    V sum = *y;
    if (p->start)
        sum += *NAME(of)(p->start + to);
    NAME(finish)(&sum, p->bias, p->low, p->high);
    if (p->activation)
        NAME(activate)(&sum, p->activation);
    *NAME(at)(p->y + to) = sum;
}

/* Frequencies m[f * m_step] as tiles of the output side by side; what lies outside it is cut off. */
TARGET LN__INLINE void NAME(give)(int edge, const ln__job *j, const float *m, int64_t m_step, const panel *p, int64_t top, int64_t left, int64_t tiles)
{
    int side = edge + 2, lines = (int)LN__MIN(edge, j->out[1] - top);
    int64_t line_step = side * m_step;
    for (int64_t t = 0; t < tiles; t++, left += edge) {
        int columns = (int)LN__MIN(edge, j->out[2] - left);
        V turned[24], y[4];
        LN__UNROLL for (int k = 0; k < side; k++) {
            const float *from = m + k * m_step + t * LANES;
            V d[6];
            ANEW(from);
            LN__UNROLL for (int i = 0; i < side; i++)
                d[i] = *NAME(of)(from + i * line_step);
            NAME(output_line)(edge, d, 1, turned + k * edge);
        }
        for (int i = 0; i < lines; i++) {
            int64_t to = ((top + i) * j->out[2] + left) * LANES;
            NAME(output_line)(edge, turned + i, edge, y);
            LN__UNROLL for (int k = 0; k < edge; k++)
                if (k < columns)
                    NAME(put)(p, &y[k], to + k * LANES);
        }
    }
}

/* ---- Winograd ------------------------------------------------------------------------------- */

/* Tiles of one line that follow one another: the first of a chunk that is done up to tile t. */
typedef struct NAME(tile_run) { int64_t row, top, left, tiles; } NAME(tile_run);

TARGET LN__INLINE void NAME(run_at)(NAME(tile_run) *run, int edge, const ln__job *j, int64_t tile, int64_t left)
{
    int64_t across = (j->out[2] + edge - 1) / edge, down = (j->out[1] + edge - 1) / edge, column = tile % across;
    run->row = tile / (across * down);
    run->top = tile / across % down * edge;
    run->left = column * edge;
    run->tiles = LN__MIN(LN__MIN(across - column, left), TILES_AT_ONCE);
}

TARGET LN__INLINE void NAME(winograd_tiles)(int edge, const ln__job *j, const tile_range *r, float *scratch)
{
    int64_t frequencies = (edge + 2) * (edge + 2), groups = j->blocks;
    int64_t count = r->end - r->first, chunks = (count + j->chunk - 1) / j->chunk;
    int64_t v_step = ln__tile_step(groups, j->chunk, LANES), m_step = ln__tile_step(ln__tile_widest(LANES), j->chunk, LANES);
    float *v = scratch, *m = scratch + frequencies * v_step;
    NAME(tile_run) run;

    for (int64_t c = 0; c < chunks; c++) {
        int64_t first = r->first + count * c / chunks, n = r->first + count * (c + 1) / chunks - first;
        for (int64_t t = 0; t < n; t += run.tiles) {
            NAME(run_at)(&run, edge, j, first + t, n - t);
            for (int64_t b = 0; b < groups; b++)
                NAME(take)(edge, j, j->x + run.row * j->gx.row_step + b * j->gx.group_step, run.top - j->begin[1],
                           run.left - j->begin[2], run.tiles, v + j->at[b] + t * LANES, v_step);
        }
        for (int64_t g = r->from; g < r->to; g++) {
            int64_t block, q = ln__tile_group(&block, j->gy.groups, LANES, g);
            panel p = { .at = j->at, .blocks = groups, .y_step = j->chunk * LANES };
            for (int64_t f = 0; f < frequencies; f++) {
                p.x = v + f * v_step;
                p.weights = (const float *)j->weights + (block * frequencies + f * q) * LANES * groups * LANES;
                p.y = m + f * m_step;
                p.ahead = f + 1 < frequencies || g + 1 < r->to ? p.weights + q * LANES * groups * LANES
                        : c + 1 < chunks ? NAME(first_weights)(j, r, groups * frequencies) : j->next;
                NAME(panels)(q, &p, n);
            }
            for (int64_t t = 0; t < n; t += run.tiles) {
                NAME(run_at)(&run, edge, j, first + t, n - t);
                for (int64_t b = 0; b < q; b++) {
                    int64_t plane = run.row * j->gy.row_step + (block + b) * j->gy.group_step;
                    panel out = { .y = j->y + plane, .start = j->other ? j->other + plane : NULL,
                                  .bias = j->bias + (block + b) * LANES, .low = j->low, .high = j->high, .activation = activation(j) };
                    NAME(give)(edge, j, m + b * p.y_step + t * LANES, m_step, &out, run.top, run.left, run.tiles);
                }
            }
        }
    }
}

TARGET static void NAME(winograd)(const ln__job *j, const tile_range *r, float *scratch)
{
    if (j->edge == 4)
        NAME(winograd_tiles)(4, j, r, scratch);
    else
        NAME(winograd_tiles)(2, j, r, scratch);
}

#undef V
#undef M
#undef LANES
#undef MOST
#undef NAME
#undef TARGET
#undef LARGER
#undef SMALLER
#undef SELECT
