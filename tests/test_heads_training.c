/* Gradients of every kind of head and gate against central differences of a double reference. */
#include "heads/heads.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run_suite.h"
#include "smoothed.h"

enum { N = 5, CHANNELS = 11, SPATIAL = 6, CLASSES = 4 };

/* Mean cross entropy of the network with these parameters, all in double. */
static double loss_of(const double *params, const ln__mlp *mlp, const float *x, const int32_t *labels, double smooth)
{
    int32_t in = mlp->inputs, hidden = mlp->hidden, out = mlp->outputs, into = hidden > 0 ? hidden : in;
    const double *w1 = params, *b1 = w1 + (size_t)hidden * in;
    const double *w2 = hidden > 0 ? b1 + hidden : params, *b2 = w2 + (size_t)out * into;
    double total = 0, *h = malloc((size_t)into * sizeof *h), z[CLASSES];

    for (int n = 0; n < N; n++) {
        double sum = 0;

        for (int32_t i = 0; i < into; i++) {
            h[i] = hidden > 0 ? b1[i] : (double)x[n * in + i];
            for (int32_t k = 0; hidden > 0 && k < in; k++)
                h[i] += w1[(size_t)i * in + k] * x[n * in + k];
            if (hidden > 0 && h[i] < 0)
                h[i] = 0;
        }
        for (int32_t o = 0; o < out; o++) {
            z[o] = b2[o];
            for (int32_t i = 0; i < into; i++)
                z[o] += w2[(size_t)o * into + i] * h[i];
            sum += exp(z[o]);
        }
        for (int32_t o = 0; o < out; o++)
            total -= ((o == labels[n] ? 1 - smooth : 0) + smooth / out) * (z[o] - log(sum));
    }
    free(h);
    return total / N;
}

static void check_gradient(int32_t kind, int32_t hidden, int64_t block, float smoothing)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__rng rng = ln__rng_make(17, (uint64_t)(kind * 100 + hidden));
    ln__view v = { NULL, N, CHANNELS, SPATIAL, block };
    const ln__head head = { .kind = kind, .cells = 1, .channels = CHANNELS, .spatial = SPATIAL };
    int32_t features = (int32_t)ln__head_features(&head), labels[N];
    float *x = calloc((size_t)N * features, sizeof *x), *h = calloc((size_t)N * hidden + 1, sizeof *h);
    float *dh = calloc((size_t)N * hidden + 1, sizeof *dh), y[N * CLASSES], dy[N * CLASSES];
    float *grad;
    double *params;
    size_t count;
    ln__mlp mlp;

    v.data = calloc(N * ln__view_row_floats(&v), sizeof *v.data);
    for (size_t i = 0; i < N * ln__view_row_floats(&v); i++)
        v.data[i] = (float)ln__rng_normal(&rng);
    ln__head_describe(&head, &v, NULL, x);
    ck_assert_int_eq(ln__mlp_new(&mlp, &ctx, features, hidden, CLASSES, NULL), LN_OK);
    ln__mlp_init(&mlp, &rng);
    ck_assert(ln__mlp_param_count(features, hidden, CLASSES, &count));
    params = malloc(count * sizeof *params);
    grad = malloc(count * sizeof *grad);
    for (size_t i = 0; i < count; i++) {
        mlp.params[i] += (float)(0.05 * ln__rng_normal(&rng));
        params[i] = mlp.params[i];
        grad[i] = 0.5f;                 /* what is there must stay: gradients add up */
    }
    for (int i = 0; i < N; i++)
        labels[i] = (int32_t)ln__rng_below(&rng, CLASSES);

    ck_assert_int_eq(ln__mlp_forward(&mlp, x, N, h, y, NULL), LN_OK);
    ck_assert_double_eq_tol(smoothed_loss(y, labels, N, CLASSES, smoothing, dy),
                            loss_of(params, &mlp, x, labels, smoothing), 1e-5);
    ck_assert_int_eq(ln__mlp_backward(&mlp, x, N, h, dy, dh, grad, NULL), LN_OK);
    for (size_t i = 0; i < count; i++) {
        double at = params[i], up, down;

        params[i] = at + 1e-6;
        up = loss_of(params, &mlp, x, labels, smoothing);
        params[i] = at - 1e-6;
        down = loss_of(params, &mlp, x, labels, smoothing);
        params[i] = at;
        ck_assert_msg(fabs(grad[i] - 0.5 - (up - down) / 2e-6) < 2e-6, "parameter %zu: found %.9g, expected %.9g", i,
                      grad[i] - 0.5, (up - down) / 2e-6);
    }
    ln__mlp_free(&mlp, &ctx);
    free(v.data); free(x); free(h); free(dh); free(params); free(grad);
}

START_TEST(gradients_equal_central_differences)
{
    static const int64_t blocks[] = { 1, 8, 16, CHANNELS };

    for (size_t b = 0; b < LN__COUNT(blocks); b++)
        for (int32_t hidden = 0; hidden <= 7; hidden += 7) {
            check_gradient(LN_HEAD_POOL, hidden, blocks[b], 0.0f);
            check_gradient(LN_HEAD_FLATTEN, hidden, blocks[b], 0.1f);
        }
}
END_TEST

START_TEST(training_form_equals_answering_form)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__rng rng = ln__rng_make(19, 0);
    float x[N * 50], h[N * 20], y[N * 3], answers[N * 3];
    ln__mlp mlp;

    ck_assert_int_eq(ln__mlp_new(&mlp, &ctx, 50, 20, 3, NULL), LN_OK);
    ln__mlp_init(&mlp, &rng);
    for (size_t i = 0; i < LN__COUNT(x); i++)
        x[i] = (float)ln__rng_normal(&rng);
    ck_assert_int_eq(ln__mlp_forward(&mlp, x, N, h, y, NULL), LN_OK);
    ln__mlp_answer(&mlp, x, N, h, answers);
    for (size_t i = 0; i < LN__COUNT(y); i++)
        ck_assert_float_eq_tol(y[i], answers[i], 1e-5f);
    ck_assert_int_eq(ln__mlp_forward(&mlp, x, 0, h, y, NULL), LN_OK);
    ln__mlp_free(&mlp, &ctx);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heads in training");
    TCase *core = tcase_create("core");

    tcase_add_test(core, gradients_equal_central_differences);
    tcase_add_test(core, training_form_equals_answering_form);
    suite_add_tcase(suite, core);
    return run_suite(suite);
}
