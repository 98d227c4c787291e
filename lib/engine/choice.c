/* choice.c - which kernel a convolution gets: the rule, and the text of a
 * measured choice. */
#include "engine/plan.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#  include <cpuid.h>
#endif

/* ---- The rule ---------------------------------------------------------------------- */

bool ln__choice_available(const ln__engine *e, const ln__node *node, char choice, bool *no_memory)
{
    ln__conv_shape shape;
    ln__dnn_op *op = NULL;
    if (choice == LN__TILED || choice == LN__WINOGRAD || choice == LN__WINOGRAD_2)
        return ln__tile_available(e, node, e->one, choice);
    ln__dnn_status code = ln__conv_describe(&op, &shape, e, node, e->one, choice, 0);
    if (code) {
        *no_memory |= ln__dnn_failure(code) == LN_E_NOMEM;
        return false;
    }
    bool good = !ln__dnn_is_reference(op);
    ln__dnn_op_free(op);
    return good;
}

/* What tiles of edge x edge outputs (0: single pixels) take for one row, in multiplications a channel pair: a core
 * multiplies `wait` times while one weight comes from where it lies. */
static double tile_cost(const ln__tensor *w, const ln__tensor *y, int64_t edge)
{
    double count = edge ? (double)((edge + 2) * (edge + 2)) : 9.0, places = 1.0;
    for (int32_t d = 2; d < y->rank; d++)
        places *= (double)(edge ? (y->dim[d] + edge - 1) / edge : y->dim[d]);
    double weights = count * (double)(w->dim[0] * w->dim[1]), wait = weights > 1 << 18 ? 25.0 : weights > 1 << 15 ? 12.0 : 3.0;
    return count * LN__MAX(places, wait);
}

static char rule(const ln__engine *e, const ln__node *node, bool *no_memory)
{
    const ln__tensor *w = &e->one->of[node->in[1]], *y = &e->one->of[node->out[0]];
    if (e->block == 1)
        return LN__ROWS;
    if (ln__tile_available(e, node, e->one, LN__WINOGRAD)) {
        double four = tile_cost(w, y, 4), two = tile_cost(w, y, 2), direct = tile_cost(w, y, 0);
        return four <= two && four <= direct ? LN__WINOGRAD : two <= direct ? LN__WINOGRAD_2 : LN__TILED;
    }
    if (ln__tile_available(e, node, e->one, LN__TILED))
        return LN__TILED;
    if (ln__choice_available(e, node, LN__DIRECT, no_memory))
        return LN__DIRECT;
    return ln__choice_available(e, node, LN__NHWC, no_memory) ? LN__NHWC : LN__ROWS;
}

ln_status ln__choice_rule(ln__engine *e, ln_error *err)
{
    bool no_memory = false;     /* it must not decide which kernel is taken */
    int before = ln__omp_enter(1);
    for (int32_t i = 0; i < e->graph->n_nodes; i++) {
        const ln__node *node = &e->graph->nodes[i];
        e->choice[i] = node->op == LN__CONV && !ln__is_constant(e->one, node->out[0]) ? rule(e, node, &no_memory) : 0;
    }
    ln__omp_leave(before);
    return no_memory ? ln__fail(err, LN_E_NOMEM, "%s: no memory to choose kernels", e->graph->file) : LN_OK;
}

/* ---- As text -------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, int64_t v)
{
    for (int i = 0; i < 8; i++) {           /* FNV-1a */
        hash ^= (uint64_t)v >> (8 * i) & 0xff;
        hash *= 1099511628211U;
    }
    return hash;
}

/* Of every convolution's shape, so that a choice is not read for another network. */
static uint64_t shape_hash(const ln__engine *e)
{
    uint64_t hash = 14695981039346656037U;
    for (int32_t i = 0; i < e->graph->n_nodes; i++) {
        const ln__node *node = &e->graph->nodes[i];
        if (!e->choice[i] && node->op != LN__CONV)
            continue;
        for (int k = 0; k < 3; k++) {
            const ln__tensor *t = &e->one->of[k == 0 ? node->in[0] : k == 1 ? node->in[1] : node->out[0]];
            for (int32_t d = 0; d < t->rank; d++)
                hash = mix(hash, t->dim[d]);
        }
    }
    return hash;
}

/* The processor's own name; what would end the field becomes '_'. */
static void cpu_name(char out[64])
{
    memset(out, 0, 64);
#if defined(__x86_64__) && defined(__GNUC__)
    for (unsigned i = 0; i < 3; i++) {
        unsigned r[4] = { 0 };
        __get_cpuid(0x80000002U + i, &r[0], &r[1], &r[2], &r[3]);
        memcpy(out + 16 * i, r, sizeof r);
    }
#endif
    for (char *c = out; *c; c++)
        if (*c <= ' ' || *c > '~' || *c == ';' || *c == '=')
            *c = '_';
}

/* Raised when kernels of our own change so much that choices measured before mislead. */
enum { KERNELS = 2 };

static void write_key(ln__buffer *out, const ln__engine *e)
{
    char cpu[64];
    cpu_name(cpu);
    ln__buffer_printf(out, "cpu=%s;dnnl=%s;isa=%s;kernels=%d;graph=%016llx;choice=", cpu, ln__dnn_version(),
                      ln__dnn_isa(), KERNELS, (unsigned long long)shape_hash(e));
}

void ln__choice_write(ln__buffer *out, const ln__engine *e)
{
    write_key(out, e);
    for (int32_t i = 0; i < e->graph->n_nodes; i++)
        if (e->choice[i])
            ln__buffer_put(out, &e->choice[i], 1);
}

bool ln__choice_read(ln__engine *e, const char *text)
{
    ln__buffer key;
    size_t at = 0;
    int32_t i = 0;
    ln__buffer_init(&key, &e->ctx);
    write_key(&key, e);
    bool good = key.ok && strlen(text) >= key.size && !memcmp(text, key.data, key.size);
    if (good)
        text += key.size;
    ln__buffer_free(&key);
    for (; good && i < e->graph->n_nodes; i++) {
        const ln__node *node = &e->graph->nodes[i];
        if (node->op != LN__CONV || ln__is_constant(e->one, node->out[0]))
            continue;
        char c = text[at];
        good = c == LN__DIRECT || c == LN__NHWC || c == LN__ROWS || c == LN__TILED || c == LN__WINOGRAD || c == LN__WINOGRAD_2;
        e->choice[i] = c;
        at += good;
    }
    good = good && text[at] == '\0';
    if (!good)
        memset(e->choice, 0, (size_t)e->graph->n_nodes);
    return good;
}
