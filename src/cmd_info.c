/* cmd_info.c - leenet info: what a model is and where exits can go. */
#include <stdlib.h>

#include "tool.h"

static const char name[] = "info";

typedef struct facts {
    const ln_model    *model;
    ln_model_info      info;
    ln_preprocess      preprocess;
    ln_exit_candidate *candidates;
    size_t             count;
} facts;

static int parse(bool *as_json, bool *quiet, int *argc, char **argv)
{
    const cli_option options[] = { OUTPUT_OPTIONS(*as_json, *quiet), CLI_END };
    const cli c = { name, "MODEL [options]",
                    "Shows a model's shapes, classes, operators, preprocessing, size and cost, where "
                    "exits can go, and the exits and operating points it has. Shares are of the plain "
                    "network.",
                    options, "one MODEL", 1, 1 };

    return cli_parse(&c, argc, argv);
}

/* Puts the defaults that zeros stand for. */
static void resolve_preprocess(ln_preprocess *p, const ln_model_info *info)
{
    p->crop_height = p->crop_height ? p->crop_height : info->height;
    p->crop_width = p->crop_width ? p->crop_width : info->width;
    p->scale = p->scale > 0 ? p->scale : 1.0 / 255;
    for (int i = 0; i < 4; i++)
        p->std[i] = p->std[i] > 0 ? p->std[i] : 1.0;
}

static ln_status gather(facts *f, ln_error *err)
{
    ln_status st = ln_model_get_info(f->model, &f->info, err);

    if (st >= 0)
        st = ln_model_get_preprocess(f->model, &f->preprocess, err);
    if (st >= 0) {
        resolve_preprocess(&f->preprocess, &f->info);
        st = ln_exit_candidates(f->model, NULL, 0, &f->count, err);
    }
    if (st < 0 || f->count == 0)
        return st;
    f->candidates = tool_alloc(f->count, sizeof *f->candidates);
    return ln_exit_candidates(f->model, f->candidates, f->count, &f->count, err);
}

/* ---- JSON ------------------------------------------------------------------ */

static void json_shape(json *j, const char *key, uint32_t c, uint32_t h, uint32_t w)
{
    json_open(j, key, '[');
    json_whole(j, NULL, c);
    json_whole(j, NULL, h);
    json_whole(j, NULL, w);
    json_close(j, ']');
}

static void json_four(json *j, const char *key, const double *values, uint32_t count)
{
    json_open(j, key, '[');
    for (uint32_t i = 0; i < count && i < 4; i++)
        json_real(j, NULL, values[i]);
    json_close(j, ']');
}

static void json_model(json *j, const facts *f)
{
    const ln_model_info *i = &f->info;
    const char *kind;
    uint32_t count;

    json_text(j, "file", i->path);
    json_text(j, "producer", i->producer);
    json_whole(j, "opset", i->opset);
    json_text(j, "input", i->input_name);
    json_shape(j, "shape", i->channels, i->height, i->width);
    json_text(j, "output", i->output_name);
    json_whole(j, "classes", i->classes);
    json_whole(j, "network_classes", i->network_classes);
    json_open(j, "class_names", '[');
    for (uint32_t c = 0; c < i->classes && ln_model_class_name(f->model, 0)[0]; c++)
        json_text(j, NULL, ln_model_class_name(f->model, (int32_t)c));
    json_close(j, ']');
    json_whole(j, "params", i->params);
    json_whole(j, "macs", i->macs);
    json_whole(j, "nodes", i->nodes);
    json_open(j, "operators", '{');
    for (uint32_t k = 0; (kind = ln_model_operator(f->model, k, &count)) != NULL; k++)
        json_whole(j, kind, count);
    json_close(j, '}');
    json_bool(j, "tuned", i->tuned);
}

static void json_preprocess(json *j, const facts *f)
{
    const ln_preprocess *p = &f->preprocess;

    json_open(j, "preprocess", '{');
    json_whole(j, "resize", p->resize);
    json_whole(j, "crop_height", p->crop_height);
    json_whole(j, "crop_width", p->crop_width);
    json_text(j, "order", p->order == LN_ORDER_BGR ? "bgr" : "rgb");
    json_real(j, "scale", p->scale);
    json_four(j, "mean", p->mean, f->info.channels);
    json_four(j, "std", p->std, f->info.channels);
    json_close(j, '}');
}

static void json_candidates(json *j, const facts *f)
{
    json_open(j, "candidates", '[');
    for (size_t i = 0; i < f->count; i++) {
        const ln_exit_candidate *c = &f->candidates[i];
        json_open(j, NULL, '{');
        json_text(j, "name", c->value);
        json_shape(j, "shape", c->channels, c->height, c->width);
        json_whole(j, "carried", c->carried);
        json_real(j, "params_share", c->params_share);
        json_real(j, "macs_share", c->macs_share);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void json_exits(json *j, const facts *f)
{
    json_open(j, "exits", '[');
    for (uint32_t i = 0; i < f->info.exits; i++) {
        ln_exit_info e = LN_EXIT_INFO_INIT;
        if (ln_exit_get_info(f->model, i, &e, NULL) < 0)
            break;
        json_open(j, NULL, '{');
        json_text(j, "name", e.value);
        json_text(j, "head", head_name(e.head));
        json_whole(j, "hidden", e.hidden);
        json_whole(j, "cells", e.cells);
        json_whole(j, "channels", e.head_channels);
        json_bool(j, "covariance", e.covariance);
        json_real(j, "carry", e.carry);
        json_shape(j, "shape", e.channels, e.height, e.width);
        json_bool(j, "trained", e.trained);
        json_real(j, "params_share", e.params_share);
        json_real(j, "macs_share", e.macs_share);
        json_real(j, "heldout_accuracy", e.heldout_accuracy);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void json_points(json *j, const facts *f)
{
    ln_target target = LN_TARGET_INIT;

    json_open(j, "points", '[');
    for (uint32_t i = 0; i < f->info.points; i++) {
        json_open(j, NULL, '{');
        json_point(j, f->model, i);
        json_close(j, '}');
    }
    json_close(j, ']');
    if (f->info.points)
        json_whole(j, "default_point", f->info.default_point);
    if (ln_target_get_default(f->model, &target, NULL) == LN_OK)
        json_target(j, "default_target", &target);
}

static void print_json(const facts *f)
{
    json j;

    json_start(&j, stdout);
    json_model(&j, f);
    json_preprocess(&j, f);
    json_candidates(&j, f);
    json_exits(&j, f);
    json_points(&j, f);
    json_finish(&j);
}

/* ---- Tables ----------------------------------------------------------------- */

static void print_line(const char *head, const char *text)
{
    printf("%-14s", head);
    print_safe(stdout, text);
    putchar('\n');
}

static void print_four(const char *head, const double *values, uint32_t count)
{
    printf(", %s", head);
    for (uint32_t i = 0; i < count && i < 4; i++)
        printf("%s%.7g", i ? "," : " ", values[i]);
}

static void print_preprocess(const facts *f)
{
    const ln_preprocess *p = &f->preprocess;

    printf("%-14s", "preprocessing");
    if (p->resize)
        printf("shorter side to %u, ", p->resize);
    printf("crop %ux%u, %s, scale %.7g", p->crop_height, p->crop_width,
           p->order == LN_ORDER_BGR ? "bgr" : "rgb", p->scale);
    print_four("mean", p->mean, f->info.channels);
    print_four("std", p->std, f->info.channels);
    putchar('\n');
}

static void print_model(const facts *f)
{
    const ln_model_info *i = &f->info;
    const char *kind;
    uint32_t count;

    print_line("file", i->path);
    if (i->producer[0])
        print_line("producer", i->producer);
    printf("%-14s", "input");
    print_safe(stdout, i->input_name);
    printf(" [N,%u,%u,%u]\n", i->channels, i->height, i->width);
    printf("%-14s", "output");
    print_safe(stdout, i->output_name);
    printf(" [N,%u]\n", i->network_classes);
    printf("%-14s%u", "classes", i->classes);
    for (uint32_t c = 0; c < i->classes && c < 10 && ln_model_class_name(f->model, 0)[0]; c++) {
        fputs(c ? ", " : ": ", stdout);
        print_safe(stdout, ln_model_class_name(f->model, (int32_t)c));
    }
    printf("%s\n", i->classes > 10 && ln_model_class_name(f->model, 0)[0] ? ", ..." : "");
    printf("%-14s%u (opset %u):", "operators", i->nodes, i->opset);
    for (uint32_t k = 0; (kind = ln_model_operator(f->model, k, &count)) != NULL; k++) {
        printf("%s %u ", k ? "," : "", count);
        print_safe(stdout, kind);
    }
    printf("\n%-14s%llu\n", "parameters", (unsigned long long)i->params);
    printf("%-14s%llu a row\n", "multiply-adds", (unsigned long long)i->macs);
    print_preprocess(f);
    print_line("kernels", i->tuned ? "measured" : "by rule ('leenet tune' measures them)");
}

static void print_candidates(const facts *f)
{
    table t;

    printf("\nwhere exits can go:\n");
    table_start(&t, "<value|shape|carried|params|macs");
    for (size_t i = 0; i < f->count; i++) {
        const ln_exit_candidate *c = &f->candidates[i];
        table_cell(&t, "%s", c->value);
        table_cell(&t, "%ux%ux%u", c->channels, c->height, c->width);
        table_cell(&t, "%u", c->carried);
        table_cell(&t, "%.1f %%", 100 * c->params_share);
        table_cell(&t, "%.1f %%", 100 * c->macs_share);
    }
    table_print(&t, stdout);
}

static void print_tables(const facts *f)
{
    print_model(f);
    if (f->count)
        print_candidates(f);
    if (f->info.exits) {
        printf("\n");
        print_exits(f->model);
    }
    if (f->info.points) {
        printf("\n");
        print_points(f->model);
        print_gates(f->model);
    }
}

int cmd_info(int argc, char **argv)
{
    bool as_json = false, quiet = false;
    facts f = { NULL, LN_MODEL_INFO_INIT, LN_PREPROCESS_INIT, NULL, 0 };
    ln_model *model;
    ln_error err = { 0 };
    ln_status st;
    progress p;
    int code = parse(&as_json, &quiet, &argc, argv);

    if (code != CLI_GO)
        return code;
    progress_start(&p, quiet);
    code = load_model(&model, name, argv[0], &p);
    if (code != TOOL_DONE)
        return code;
    f.model = model;
    st = gather(&f, &err);
    if (st < 0)
        code = report_error(name, st, &err);
    else if (as_json)
        print_json(&f);
    else
        print_tables(&f);
    free(f.candidates);
    ln_model_free(model);
    return finish_output(name, code);
}
