/* plan_run - an ONNX file through graph passes and plans, for comparing whole
 * networks with another runtime.
 *
 *   plan_run FILE ROWS INPUT.f32 OUTPUT.f32 [-c VALUE]... [-t THREADS] [-k KERNELS] [-n RUNS] [-l] [-T]
 *
 * -c cuts the network into stages after a value, -l lists the steps, -T tunes
 * first and prints the choice, -n runs so often and prints the least
 * milliseconds, with -l of each step. */
#include "engine/plan.h"
#include "onnx/onnx.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { ln__ctx ctx; ln__graph *raw, *folded, *fused; ln__onnx *onnx; } network;

static ln_error err;

static void need(ln_status st)
{
    if (st >= 0)
        return;
    fprintf(stderr, "%s: %s\n", ln_status_name(st), err.text);
    exit(1);
}

static float *read_floats(const char *path, size_t n)
{
    FILE *f = fopen(path, "rb");
    float *data = malloc(n * sizeof *data + 64);
    if (!f || fread(data, sizeof *data, n, f) != n) {
        fprintf(stderr, "%s: %zu floats wanted\n", path, n);
        exit(1);
    }
    fclose(f);
    return data;
}

static float *memory_of(ln__engine *e, int32_t value, int64_t rows, ln__view *v)
{
    need(ln__engine_view(v, e, value, rows, &err));
    return malloc((size_t)rows * ln__view_row_floats(v) * sizeof(float) + 64);
}

static void time_steps(ln__plan *plan, const ln__ctx *ctx)
{
    plan->clock = ln__now;
    plan->seconds = ln__array(ctx, plan->n_steps + 1, sizeof *plan->seconds);
    for (size_t i = 0; plan->seconds && i < plan->n_steps; i++)
        plan->seconds[i] = 1e9;
}

static void print_steps(const ln__plan *plan, int stage)
{
    for (size_t i = 0; i < plan->n_steps; i++) {
        const ln__step *step = &plan->steps[i];
        if (step->gone)
            continue;
        if (plan->seconds)
            printf("%9.4f ms  ", plan->seconds[i] * 1e3);
        printf("%d %s%s\n", stage, step->reference ? "REFERENCE " : "", step->text);
    }
}

static void run_all(ln__plan **plans, const ln__cut *cut, void *arena, float **of)
{
    for (int32_t s = 0; s < cut->n_stages; s++) {
        float *in[64], *out[64];
        for (int32_t i = 0; i < cut->stages[s].n_in; i++)
            in[i] = of[cut->stages[s].in[i]];
        for (int32_t i = 0; i < cut->stages[s].n_out; i++)
            out[i] = of[cut->stages[s].out[i]];
        need(ln__plan_run(plans[s], arena, in, out, &err));
    }
}

int main(int argc, char **argv)
{
    network n = { .ctx = ln__ctx_make(NULL, NULL, NULL) };
    const char *kernels = NULL, *cuts[16];
    int32_t at[16], n_at = 0, option, threads = 1, runs = 1;
    bool list = false, tune = false;

    if (argc < 5)
        return 2;
    optind = 5;
    while ((option = getopt(argc, argv, "c:t:k:n:lT")) != -1)
        switch (option) {
        case 'c': cuts[n_at++ % 16] = optarg; break;
        case 't': threads = atoi(optarg); break;
        case 'k': kernels = optarg; break;
        case 'n': runs = atoi(optarg); break;
        case 'l': list = true; break;
        case 'T': tune = true; break;
        default: return 2;
        }
    int64_t rows = atoi(argv[2]);
    double begin = ln__now();
    need(ln__onnx_load(&n.onnx, &n.ctx, argv[1], NULL, &err));
    need(ln__onnx_graph(&n.raw, n.onnx, NULL, 0, &err));
    for (int32_t i = 0; i < n_at; i++)
        if ((at[i] = ln__graph_find(n.raw, cuts[i])) < 0) {
            fprintf(stderr, "no value '%s'\n", cuts[i]);
            return 1;
        }
    need(ln__graph_fold(&n.folded, n.raw, at, n_at, &err));
    need(ln__graph_fuse(&n.fused, n.folded, at, n_at, &err));
    ln__cut *cut;
    need(ln__graph_cut(&cut, n.fused, at, n_at, &err));
    ln__buffer choice;
    ln__buffer_init(&choice, &n.ctx);
    if (tune) {
        double before = ln__now();
        need(ln__engine_tune(&choice, &n.ctx, n.fused, (uint32_t)threads, NULL, NULL, &err));
        ln__buffer_put(&choice, "", 1);
        kernels = (char *)choice.data;
        printf("%s\ntuned in %.2f s\n", kernels, ln__now() - before);
        begin += ln__now() - before;
    }
    ln__engine *e;
    int32_t n_values = n.fused->n_values, input = n.fused->inputs[0].value, output = n.fused->outputs[0];
    need(ln__engine_new(&e, &n.ctx, n.fused, kernels, &err));
    ln__plan *plans[17];
    size_t most = 0;
    float **of = calloc((size_t)n_values, sizeof *of);
    ln__view v, vo;
    for (int32_t s = 0; s < cut->n_stages; s++) {
        need(ln__plan_new(&plans[s], e, cut, s, rows, (uint32_t)threads, &err));
        most = LN__MAX(most, ln__plan_arena(plans[s]));
        for (int32_t i = 0; i < cut->stages[s].n_out; i++)
            if (!of[cut->stages[s].out[i]])
                of[cut->stages[s].out[i]] = memory_of(e, cut->stages[s].out[i], rows, &v);
        if (list && runs > 1)
            time_steps(plans[s], &n.ctx);
    }
    need(ln__engine_view(&v, e, input, rows, &err));
    need(ln__engine_view(&vo, e, output, rows, &err));
    of[input] = read_floats(argv[3], (size_t)rows * ln__view_row_floats(&v));
    void *arena = ln__alloc(&n.ctx, most + 64);
    memset(arena, 0x7f, most);
    double least = 1e9;
    int before = ln__omp_enter((uint32_t)threads);
    for (int run = 0; run < runs; run++) {
        double start = ln__now();
        run_all(plans, cut, arena, of);
        if (run == 0 && runs > 1)
            printf("first answer after %.1f ms\n", (ln__now() - begin) * 1e3);
        least = LN__MIN(least, ln__now() - start);
    }
    ln__omp_leave(before);
    for (int32_t s = 0; list && s < cut->n_stages; s++)
        print_steps(plans[s], (int)s);
    if (runs > 1)
        printf("least %.3f ms, arena %.1f MB\n", least * 1e3, (double)most / 1e6);
    FILE *f = fopen(argv[4], "wb");
    if (!f || fwrite(of[output], sizeof(float), (size_t)rows * ln__view_row_floats(&vo), f) == 0 || fclose(f))
        return 1;
    for (int32_t s = 0; s < cut->n_stages; s++)
        ln__plan_free(plans[s]);
    for (int32_t i = 0; i < n_values; i++)
        free(of[i]);
    free(of);
    ln__free(&n.ctx, arena);
    ln__buffer_free(&choice);
    ln__engine_release(e);
    ln__cut_free(cut, &n.ctx);
    ln__graph_free(n.folded);
    ln__graph_free(n.raw);
    ln__onnx_free(n.onnx);
    return 0;
}
