/* cli_diagnose.c - what looks wrong with a model, in plain words and with what to do about it. */
#include <math.h>
#include <stdarg.h>

#include "tool.h"

static void warn(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void warn(const char *command, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "leenet %s: warning: ", command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    putc('\n', stderr);
}

enum { FEW_ROWS = 10 };         /* which tell nothing */
static const double FAR_BETTER = 0.05;

/* Rows behind the heads' held-out accuracies: those of the operating points, 0 if there are none. */
static double heldout_rows(const ln_model *model)
{
    ln_point_info info = LN_POINT_INFO_INIT;

    return ln_model_point_count(model) && ln_point_get_info(model, 0, &info, NULL) >= 0 ? info.rows : 0;
}

void diagnose_heads(const char *command, const ln_model *model)
{
    double before = -1, rows = heldout_rows(model);

    for (uint32_t e = 0; e < ln_model_exit_count(model); e++) {
        ln_exit_info info = LN_EXIT_INFO_INIT;
        if (ln_exit_get_info(model, e, &info, NULL) < 0 || !info.trained)
            return;
        double p = info.heldout_accuracy, chance = rows > 0 ? sqrt(p * (1 - p) / rows) : 0;
        if (e > 0 && before - p > fmax(0.005, chance))
            warn(command, "the head of exit %u is right on %.1f %% of rows held out, that of exit %u before it on %.1f %%: pictures pay for it and "
                 "get less. Leave it out (train --exits), or give it more rows, --epochs or another --head", e, 100 * p, e - 1, 100 * before);
        before = p;
    }
}

/* Heads read what the network has made of a picture: where it knows less than they, it was mostly not shown what it expects. */
void diagnose_network(const char *command, const ln_model *model)
{
    ln_point_info point = LN_POINT_INFO_INIT;
    double best = 0;

    if (ln_point_get_info(model, 0, &point, NULL) < 0 || point.rows < FEW_ROWS)
        return;
    for (uint32_t e = 0; e < ln_model_exit_count(model); e++) {
        ln_exit_info info = LN_EXIT_INFO_INIT;
        if (ln_exit_get_info(model, e, &info, NULL) >= 0 && info.trained)
            best = fmax(best, info.heldout_accuracy);
    }
    if (best - point.plain_accuracy > FAR_BETTER)
        warn(command, "the network itself is right on %.1f %% of the rows, an exit on %.1f %%: does it get what it was trained on? Check --scale, --mean, "
             "--std, --order and --class-map", 100 * point.plain_accuracy, 100 * best);
}

void diagnose_default(const char *command, const ln_model *model)
{
    ln_model_info info = LN_MODEL_INFO_INIT;
    ln_point_info point = LN_POINT_INFO_INIT;
    ln_setting setting = LN_SETTING_INIT;
    ln_target target = LN_TARGET_INIT;
    bool targeted = ln_target_get_default(model, &target, NULL) >= 0 && ln_target_resolve(model, &target, &setting, NULL, NULL) >= 0;

    if (ln_model_get_info(model, &info, NULL) < 0 || ln_point_get_info(model, info.default_point, &point, NULL) < 0)
        return;
    if (!targeted && !point.moved && point.plain_accuracy - point.accuracy > 0.01 + 1e-9)
        warn(command, "what is used by default is expected to lose %.1f points of accuracy: no point loses at most 1. Train with less --alpha, or say "
             "what it may cost (--budget) or lose (--max-drop)", 100 * (point.plain_accuracy - point.accuracy));
    double time = targeted ? setting.time_share : point.time_share;
    if (time > 1)
        warn(command, "what is used by default is expected to take %.0f %% of the plain network's time: there exits do not pay for themselves. Use a "
             "point of more alpha, or a --budget of --cost time", 100 * time);
}

/* ---- Gates -------------------------------------------------------------------------------- */

static uint64_t reached_by(const ln_evaluation *e, uint32_t exit)
{
    uint64_t rows = e->rows;

    for (uint32_t i = 0; i < exit; i++)
        rows -= e->exits[i].rows;
    return rows;
}

/* Said of an exit only if it is true of all points judged: of one it may be what its alpha asks for. */
static bool nobody_takes(const ln_evaluation *found, size_t count, uint32_t exit, bool *reached)
{
    *reached = false;
    for (size_t i = 0; i < count; i++) {
        if (found[i].exits[exit].rows > 0)
            return false;
        *reached |= reached_by(&found[i], exit) >= FEW_ROWS;
    }
    return true;
}

static void diagnose_exits(const char *command, const ln_model *model, const ln_evaluation *found, size_t count)
{
    const char *where = count > 1 ? " at any point judged" : "";
    bool reached;

    for (uint32_t e = 0; e < ln_model_exit_count(model); e++) {
        if (!nobody_takes(found, count, e, &reached))
            continue;
        if (reached)
            warn(command, "the gate of exit %u never fires%s: nobody takes that exit, but every picture that comes by pays for it. Train without it "
                 "(--exits), or with more alpha", e, where);
        else if (count > 1)
            warn(command, "nobody takes exit %u%s, as every picture has left before it. Train without it (--exits), or with less alpha", e, where);
    }
}

static void diagnose_always(const char *command, const ln_model *model, const uint32_t *points, const ln_evaluation *found)
{
    for (uint32_t e = 0; e < ln_model_exit_count(model); e++) {
        if (found->exits[e].rows < FEW_ROWS || reached_by(found, e + 1) > 0)
            continue;
        warn(command, "at point %u the gate of exit %u always fires: no picture goes on, and the rest of the network is never asked. "
             "Use a dearer point, or train with less alpha", *points, e);
        return;
    }
}

/* ---- The network itself ----------------------------------------------------------------------- */

/* Three standard errors of the difference, and a point at least. */
static void diagnose_memory(const char *command, const ln_model *model, uint32_t point, const ln_evaluation *e)
{
    ln_point_info info = LN_POINT_INFO_INIT;

    if (ln_point_get_info(model, point, &info, NULL) < 0 || info.rows == 0 || e->rows == 0)
        return;
    double seen = info.plain_accuracy, here = e->plain_accuracy, n = info.rows, m = (double)e->rows;
    double both = (seen * n + here * m) / (n + m), chance = sqrt(both * (1 - both) * (1 / n + 1 / m));
    if (seen - here <= fmax(0.01, 3 * chance))
        return;
    warn(command, "the network is right on %.1f %% of the rows the gates learned from, but on %.1f %% of these: it has probably been trained on those "
         "rows, so heads and gates think it better than it is. Train with --gate-data (or --data) that the network has not seen",
         100 * seen, 100 * here);
}

void diagnose_points(const char *command, const ln_model *model, const uint32_t *points, const ln_evaluation *found, size_t count)
{
    diagnose_exits(command, model, found, count);
    for (size_t i = 0; i < count; i++)
        diagnose_always(command, model, &points[i], &found[i]);
    if (count > 0)
        diagnose_memory(command, model, points[0], &found[0]);
}
