/* A handler may run at any time: never on memory that oneDNN uses as a stack. */
#include "engine/plan.h"
#include "graph_build.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "run_suite.h"

enum { STACK = 1 << 20 };

static pthread_t tested;
static uintptr_t stack;
static atomic_uint seen, astray;
static atomic_bool over;

static void note(int number)
{
    volatile char here = (char)number;
    uintptr_t at = (uintptr_t)&here;

    seen++;
    astray += !pthread_equal(pthread_self(), tested) || at > stack || at < stack - STACK;
}

static void *send(void *payload)
{
    const struct timespec pause = { 0, 50000 };

    while (!over) {
        kill(getpid(), SIGUSR1);
        nanosleep(&pause, NULL);
    }
    return payload;
}

typedef struct shower { pthread_t thread; sigset_t before; } shower;

static void begin(shower *s, const void *local)
{
    struct sigaction action = { .sa_handler = note };
    sigset_t mine;

    tested = pthread_self();
    stack = (uintptr_t)local;
    seen = astray = 0;
    over = false;
    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR1);
    sigaction(SIGUSR1, &action, NULL);
    pthread_sigmask(SIG_BLOCK, &mine, &s->before);
    ck_assert_int_eq(pthread_create(&s->thread, NULL, send, NULL), 0);
    pthread_sigmask(SIG_SETMASK, &s->before, NULL);
}

static void end(shower *s, const char *what)
{
    over = true;
    pthread_join(s->thread, NULL);
    ck_assert_msg(seen > 20, "%s: only %u signals came", what, (unsigned)seen);
    ck_assert_msg(astray == 0, "%s: %u of %u handlers ran on another thread or stack", what, (unsigned)astray, (unsigned)seen);
}

START_TEST(matrix_products_under_signals)
{
    enum { M = 64, N = 256, K = 192 };
    static float a[M * K], b[N * K], c[M * N];
    char top = 0;
    shower s;
    ln_error err;

    for (int t = 0; t < 4; t++) {
        bool ta = t & 1, tb = t & 2;
        double until = ln__now() + 0.3;
        begin(&s, &top);
        while (ln__now() < until || seen <= 20)
            ck_assert(ln__gemm(ta, tb, M, N, K, 1.0F, a, ta ? M : K, b, tb ? K : N, 1.0F, c, N, &err) == LN_OK);
        end(&s, "matrix product");
    }
}
END_TEST

/* Products as nodes, with the plan's own threads. */
START_TEST(plans_under_signals)
{
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln__graph *g = build_new(&ctx, 1 << 28);
    ln__engine *engine;
    ln__plan *plan;
    ln_error err;
    enum { ROWS = 8, WIDE = 300 };
    static float w[WIDE * WIDE], in[ROWS * WIDE], out[ROWS * WIDE];
    int32_t x = build_input(g, "x", DIMS(-1, WIDE)), nodes[] = { 0, 1 };
    ln__node *m = NODE(g, MATMUL, x, build_f32(g, w, DIMS(WIDE, WIDE)));
    char top = 0;
    shower s;

    m->u.matmul.alpha = 1.0F;
    ln__node *second = NODE(g, MATMUL, m->out[0], build_f32(g, w, DIMS(WIDE, WIDE)));
    second->u.matmul.alpha = 1.0F;
    int32_t y = second->out[0];
    build_output(g, y);
    ck_assert(ln__engine_new(&engine, &ctx, g, NULL, &err) == LN_OK);
    for (uint32_t threads = 1; threads <= 2; threads++) {
        ln__part part = { nodes, 2, &x, 1, &y, 1 };
        double until = ln__now() + 0.3;
        ck_assert_msg(ln__plan_make(&plan, engine, &part, ROWS, threads, &err) == LN_OK, "%s", err.text);
        void *arena = ln__alloc(&ctx, ln__plan_arena(plan) + 64);
        begin(&s, &top);
        while (ln__now() < until || seen <= 20)
            ck_assert(ln__plan_run(plan, arena, (float *[]){ in }, (float *[]){ out }, &err) == LN_OK);
        end(&s, "plan");
        ln__free(&ctx, arena);
        ln__plan_free(plan);
    }
    ln__engine_release(engine);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine under signals");
    TCase *c = tcase_create("signals");

    tcase_add_test(c, matrix_products_under_signals);
    tcase_add_test(c, plans_under_signals);
    suite_add_tcase(suite, c);
    return run_suite(suite);
}
