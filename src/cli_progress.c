/* cli_progress.c - bars on a terminal, plain lines elsewhere; Ctrl-C. */
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tool.h"

static volatile sig_atomic_t interrupted;

static void note_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

void interrupt_catch(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = note_interrupt;
    action.sa_flags = (int)SA_RESETHAND | SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

bool interrupt_seen(void)
{
    return interrupted != 0;
}

void progress_start(progress *p, bool quiet)
{
    const char *term = getenv("TERM");

    memset(p, 0, sizeof *p);
    p->quiet = quiet;
    p->bar = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    p->started = seconds_now();
}

static unsigned terminal_width(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
        return size.ws_col;
    return 80;
}

static double fraction_done(const ln_progress *now)
{
    double part = now->total ? (double)now->done / (double)now->total : 0.0;

    return part > 1 ? 1 : part;
}

__attribute__((format(printf, 3, 4)))
static void append(char *text, size_t size, const char *format, ...)
{
    size_t n = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + n, size - n, format, args);
    va_end(args);
}

static void describe_stage(const ln_progress *now, char *text, size_t size)
{
    snprintf(text, size, "%s", now->stage);
    if (strcmp(now->stage, "head") == 0 || strcmp(now->stage, "place") == 0)
        append(text, size, " %u", now->exit);
    if (strcmp(now->stage, "gates") == 0)
        append(text, size, " point %u", now->point);
    if (now->epochs)
        append(text, size, " epoch %u/%u", now->epoch, now->epochs);
}

static void describe_numbers(const ln_progress *now, char *text, size_t size)
{
    text[0] = '\0';
    append(text, size, "%3.0f %%", 100 * fraction_done(now));
    if (isfinite(now->loss))
        append(text, size, "  loss %.4f", now->loss);
    if (isfinite(now->validation))
        append(text, size, "  held out %.4f", now->validation);
    if (isfinite(now->accuracy))
        append(text, size, "  accuracy %.2f %%", 100 * now->accuracy);
    if (isfinite(now->rows_per_second) && now->rows_per_second > 0)
        append(text, size, "  %.0f rows/s", now->rows_per_second);
    if (isfinite(now->seconds_left) && now->seconds_left >= 0)
        append(text, size, "  %.0f:%02.0f left", floor(now->seconds_left / 60),
               floor(fmod(now->seconds_left, 60)));
}

/* Stage, bar and numbers on one line that never wraps: a narrow terminal loses
 * the bar, a very narrow one the end of the numbers. */
static void draw_bar(progress *p)
{
    enum { STAGE = 28, LEAST = 8, MOST = 40 };
    char stage[96], numbers[192], bar[MOST + 1], line[512];
    int width = (int)terminal_width() - 1, cells, full;

    describe_stage(&p->last, stage, sizeof stage);
    describe_numbers(&p->last, numbers, sizeof numbers);
    cells = width - STAGE - 4 - (int)strlen(numbers);
    cells = cells > MOST ? MOST : cells;
    if (cells >= LEAST) {
        full = (int)(cells * fraction_done(&p->last));
        memset(bar, '#', (size_t)full);
        memset(bar + full, '.', (size_t)(cells - full));
        bar[cells] = '\0';
        snprintf(line, sizeof line, "%-*.*s [%s] %s", STAGE, STAGE, stage, bar, numbers);
    } else {
        snprintf(line, sizeof line, "%s: %s", stage, numbers);
    }
    fprintf(stderr, "\r%.*s\033[K", width, line);
    fflush(stderr);
    p->open = true;
    p->shown = true;
}

static void print_line(progress *p)
{
    char stage[96], numbers[192];

    describe_stage(&p->last, stage, sizeof stage);
    describe_numbers(&p->last, numbers, sizeof numbers);
    fprintf(stderr, "%s: %s\n", stage, numbers);
    p->shown = true;
}

static void show_last(progress *p)
{
    if (p->quiet || p->shown || !p->any)
        return;
    if (p->bar)
        draw_bar(p);
    else
        print_line(p);
}

static void end_stage(progress *p)
{
    show_last(p);
    if (p->open)
        putc('\n', stderr);
    p->open = false;
    p->tenth = -1;
}

static bool same_work(const ln_progress *a, const ln_progress *b)
{
    return strcmp(a->stage, b->stage) == 0 && a->exit == b->exit && a->point == b->point;
}

/* The gates of a point are many and soon done. */
static bool same_stage(const ln_progress *a, const ln_progress *b)
{
    return same_work(a, b) || (strcmp(a->stage, "gates") == 0 && strcmp(b->stage, "gates") == 0 && a->point == b->point);
}

/* Copies what this build knows of the library's struct, which may be longer or shorter. */
static void remember(progress *p, const ln_progress *now)
{
    size_t size = now->struct_size < sizeof p->last ? now->struct_size : sizeof p->last;
    bool no_news = p->any && p->shown && same_work(&p->last, now) && p->last.done == now->done;

    memset(&p->last, 0, sizeof p->last);
    memcpy(&p->last, now, size);
    snprintf(p->stage, sizeof p->stage, "%s", now->stage);
    p->last.stage = p->stage;
    p->last.cache_folder = NULL;        /* not ours to keep */
    p->any = true;
    p->shown = no_news;
}

/* Before any of it is taken: what will be needed on disk. */
static void show_disk(progress *p, const ln_progress *now)
{
    bool told = now->struct_size >= offsetof(ln_progress, cache_folder) + sizeof now->cache_folder;

    if (p->quiet || !told || now->done > 0 || now->disk_bytes == 0)
        return;
    fprintf(stderr, "%s: %.3f GB, %.3f GB of them in ", now->stage, (double)now->cache_bytes / 1e9, (double)now->disk_bytes / 1e9);
    print_safe(stderr, now->cache_folder);
    putc('\n', stderr);
    p->shown = true;
}

/* A line for every tenth of a stage; gates that are soon done have one a second at most. */
static bool due(const progress *p, const ln_progress *now, int tenth, double time)
{
    bool quick = strcmp(now->stage, "gates") == 0 && time - p->drawn < 1;

    return !quick && tenth > p->tenth && (tenth > 0 || p->tenth >= 0);
}

int progress_show(const ln_progress *now, void *payload)
{
    progress *p = payload;
    double time = seconds_now();
    int tenth;

    if (p->any && (!same_work(&p->last, now) || p->last.epoch != now->epoch))
        log_write(&p->log, time - p->started, &p->last);
    if (!p->any || !same_stage(&p->last, now))
        end_stage(p);
    remember(p, now);
    show_disk(p, now);
    tenth = (int)(10 * fraction_done(now));
    if (p->bar ? time - p->drawn >= 0.1 : due(p, now, tenth, time)) {
        p->drawn = time;
        show_last(p);
    }
    p->tenth = tenth > p->tenth ? tenth : p->tenth;
    return interrupt_seen();
}

void progress_message(int32_t level, const char *text, void *payload)
{
    progress *p = payload;

    if (level != LN_LOG_WARNING)
        return;
    if (p->open)
        putc('\n', stderr);
    p->open = false;
    fputs("leenet: warning: ", stderr);
    print_safe(stderr, text);
    putc('\n', stderr);
}

void progress_end(progress *p)
{
    if (p->any)
        log_write(&p->log, seconds_now() - p->started, &p->last);
    end_stage(p);
    p->any = false;
}
