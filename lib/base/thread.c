/* thread.c - the clock, the processors, and workers that sleep until they are
 * needed. */
#define _GNU_SOURCE     /* sched_getaffinity */
#include "base/base.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

double ln__now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

uint32_t ln__cpu_count(void)
{
    int saved = errno;
    long count = 0;
#if defined(__linux__)
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = CPU_COUNT(&set);
#endif
    if (count < 1)
        count = sysconf(_SC_NPROCESSORS_ONLN);
    errno = saved;
    return count < 1 ? 1 : (uint32_t)count;
}

/* ---- Pool ------------------------------------------------------------------------ */

typedef struct worker {
    ln__pool *pool;
    uint32_t number;
    pthread_t thread;
} worker;

struct ln__pool {
    ln__ctx ctx;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    uint32_t count;             /* workers, the caller's one included */
    uint32_t started;           /* threads to be joined */
    uint64_t round;             /* of run; a worker sleeps until it changes */
    uint32_t wanted, running;   /* workers of this round; those not finished */
    bool closing;
    ln__work_fn work;
    void *payload;
    worker *workers;            /* [count], 0 unused */
};

static void *worker_main(void *argument)
{
    const worker *self = argument;
    ln__pool *pool = self->pool;
    uint64_t seen = 0;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->round == seen && !pool->closing)
            pthread_cond_wait(&pool->wake, &pool->lock);
        if (pool->closing)
            break;
        seen = pool->round;
        if (self->number >= pool->wanted)
            continue;
        ln__work_fn work = pool->work;
        void *payload = pool->payload;
        pthread_mutex_unlock(&pool->lock);
        work(self->number, payload);
        pthread_mutex_lock(&pool->lock);
        if (--pool->running == 0)
            pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* The host's signal handlers must not run on our threads, so they are started
 * with every signal blocked. */
static int start_workers(ln__pool *pool)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    error = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (error != 0)
        return error;
    for (uint32_t i = 1; i < pool->count; i++) {
        worker *w = &pool->workers[i];
        w->pool = pool;
        w->number = i;
        error = pthread_create(&w->thread, NULL, worker_main, w);
        if (error != 0)
            break;
        pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static int init_locks(ln__pool *pool)
{
    int error = pthread_mutex_init(&pool->lock, NULL);

    if (error != 0)
        return error;
    error = pthread_cond_init(&pool->wake, NULL);
    if (error != 0)
        goto no_wake;
    error = pthread_cond_init(&pool->done, NULL);
    if (error == 0)
        return 0;
    pthread_cond_destroy(&pool->wake);
no_wake:
    pthread_mutex_destroy(&pool->lock);
    return error;
}

ln_status ln__pool_new(ln__pool **out, const ln__ctx *ctx, uint32_t count, ln_error *err)
{
    ln__pool *pool = ln__calloc(ctx, 1, sizeof *pool);
    int saved = errno, error;

    *out = NULL;
    if (pool == NULL)
        return ln__fail_nomem(err, ctx, sizeof *pool);
    pool->ctx = *ctx;
    pool->count = count == 0 ? 1 : count;
    pool->workers = ln__calloc(ctx, pool->count, sizeof *pool->workers);
    if (pool->workers == NULL) {
        ln__free(ctx, pool);
        return ln__fail_nomem(err, ctx, count * sizeof(worker));
    }
    error = init_locks(pool);
    if (error != 0) {
        ln__free(ctx, pool->workers);
        ln__free(ctx, pool);
    } else {
        error = start_workers(pool);
        if (error != 0)
            ln__pool_free(pool);
    }
    errno = saved;
    if (error != 0)
        return ln__fail_errno(err, LN_E_LIMIT, error, "%u threads cannot be started", (unsigned)count);
    *out = pool;
    return LN_OK;
}

/* Workers 1 to n - 1 begin; the caller's one does not. */
static void start_round(ln__pool *pool, uint32_t n, ln__work_fn work, void *payload)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->running > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pool->work = work;
    pool->payload = payload;
    pool->wanted = n;
    pool->running = n - 1;
    pool->round++;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

void ln__pool_wait(ln__pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->running > 0)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void ln__pool_run(ln__pool *pool, uint32_t n, ln__work_fn work, void *payload)
{
    n = LN__MIN(n, pool->count);
    if (n > 1)
        start_round(pool, n, work, payload);
    if (n > 0)
        work(0, payload);
    if (n > 1)
        ln__pool_wait(pool);
}

void ln__pool_start(ln__pool *pool, ln__work_fn work, void *payload)
{
    if (pool->count > 1)
        start_round(pool, pool->count, work, payload);
}

uint32_t ln__pool_size(const ln__pool *pool)
{
    return pool->count;
}

void ln__pool_free(ln__pool *pool)
{
    ln__ctx ctx;

    if (pool == NULL)
        return;
    ln__pool_wait(pool);
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 1; i <= pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    ctx = pool->ctx;
    ln__free(&ctx, pool->workers);
    ln__free(&ctx, pool);
}
