/* place.c - ln_exit_place: small heads tried at every candidate, then exits where they do most. */
#include "train/train.h"

#include <math.h>
#include <string.h>

enum { FOLDS = 3, BATCH = 64, MOST_UNLESS_TOLD = 8, REPEATS = 15 };

typedef struct placing {
    ln_model        *model;
    ln_place_options options;   /* defaults filled in */
    ln_data         *rows;
    char           **names;     /* [places] of the candidates, by depth */
    uint32_t         places;
    ln__features     features;
    uint32_t        *fold;
    float           *logits;    /* [rows][classes] of the head at hand */
    uint16_t        *level;     /* [places][rows] */
    uint8_t         *right;     /* [places + 1][rows] */
    double           accuracy[LN__MAX_EXITS];
    double           reach[LN__MAX_EXITS + 1], head[LN__MAX_EXITS], gain[LN__MAX_EXITS];
    bool             chosen[LN__MAX_EXITS];
    ln__reporter     reporter;
    ln__pool        *pool;
} placing;

static ln_status fill_defaults(ln_place_options *o, ln_error *err)
{
    static const double shares[] = { 0.25, 0.35, 0.5 };

    if (!o->budgets || !o->n_budgets) {
        o->budgets = shares;
        o->n_budgets = LN__COUNT(shares);
    }
    o->max_exits = o->max_exits ? o->max_exits : MOST_UNLESS_TOLD;
    o->threads = o->threads ? o->threads : ln__cpu_count();
    o->epochs = o->epochs ? o->epochs : 10;
    o->max_memory = o->max_memory ? o->max_memory : UINT64_C(1) << 32;
    for (size_t i = 0; i < o->n_budgets; i++)
        if (!(o->budgets[i] > 0 && o->budgets[i] <= 1))
            return ln__fail(err, LN_E_ARGUMENT, "budget %g; above 0, at most 1", o->budgets[i]);
    if (o->exits > LN__MAX_EXITS || o->max_exits > LN__MAX_EXITS)
        return ln__fail(err, LN_E_ARGUMENT, "%u exits wanted; at most %d can be had", LN__MAX(o->exits, o->max_exits), LN__MAX_EXITS);
    if (o->cost < LN_COST_TIME || o->cost > LN_COST_MACS)
        return ln__fail(err, LN_E_ARGUMENT, "cost %d; LN_COST_TIME, _PARAMS and _MACS are known", o->cost);
    if (o->threads > 1024 || o->epochs > 100000)
        return ln__fail(err, LN_E_ARGUMENT, "threads %u or epochs %u is out of range", o->threads, o->epochs);
    return ln__exit_options_check(o->heads, err);
}

static void placing_free(placing *p)
{
    const ln__ctx *ctx = &p->model->ctx;

    for (uint32_t i = 0; p->names && i < p->places; i++)
        ln__free(ctx, p->names[i]);
    ln__features_free(&p->features, ctx);
    void *owned[] = { p->names, p->fold, p->logits, p->level, p->right };
    for (size_t i = 0; i < LN__COUNT(owned); i++)
        ln__free(ctx, owned[i]);
    ln__pool_free(p->pool);
}

/* ---- Candidates ----------------------------------------------------------------------------- */

static ln_status list_places(placing *p, ln_error *err)
{
    ln_model *model = p->model;
    size_t count = 0;
    ln_status st = ln__exit_candidates(model, NULL, 0, &count, err);

    if (st < 0)
        return st;
    if (count < LN__MAX(p->options.exits, 1))
        return ln__fail(err, LN_E_ARGUMENT, "%s: %u exits wanted, the network has %zu places for exits", model->path,
                        LN__MAX(p->options.exits, 1), count);
    ln_exit_candidate *all = ln__array(&model->ctx, count, sizeof *all);
    uint32_t most = (uint32_t)LN__MIN(count, LN__MAX_EXITS);
    p->names = ln__calloc(&model->ctx, most, sizeof *p->names);
    if (!all || !p->names)
        st = ln__fail_nomem(err, &model->ctx, count * sizeof *all);
    if (st == LN_OK)
        st = ln__exit_candidates(model, all, count, &count, err);
    for (; st == LN_OK && p->places < most; p->places++) {
        p->names[p->places] = ln__strdup(&model->ctx, all[p->places * count / most].value);
        if (!p->names[p->places])
            st = ln__fail_nomem(err, &model->ctx, 1);
    }
    ln__free(&model->ctx, all);
    return st;
}

static ln_status put_exits(placing *p, const ln_exit_options *options, bool all, ln_error *err)
{
    ln_status st = LN_OK;

    ln__exits_clear(p->model);
    for (uint32_t i = 0; st == LN_OK && i < p->places; i++)
        if (all || p->chosen[i])
            st = ln__exit_add(p->model, p->names[i], options, err);
    return st;
}

/* Exits stand by depth; names follow, so that place and exit i are the same. */
static void order_names(placing *p)
{
    for (uint32_t i = 0; i < p->places; i++)
        for (uint32_t k = i + 1; k < p->places; k++)
            if (strcmp(p->names[k], p->model->exits[i].value_name) == 0) {
                char *name = p->names[i];
                p->names[i] = p->names[k];
                p->names[k] = name;
            }
}

/* ---- Answers ---------------------------------------------------------------------------------- */

static ln__classifier_task task_for(const placing *p, const ln__cache *x, int64_t inputs, uint32_t stream)
{
    return (ln__classifier_task){ .rows = &p->features, .x = x, .fold = p->fold, .folds = FOLDS,
                                  .classes = p->model->classes, .batch = BATCH, .epochs = p->options.epochs, .inputs = inputs,
                                  .positions = 1, .rate = 3e-3, .decay = 0.05, .seed = p->options.seed * 1000 + stream };
}

static void record_answers(placing *p, uint32_t place, const float *answers)
{
    size_t rows = p->features.rows, right = 0;

    for (size_t r = 0; r < rows; r++) {
        float probability;
        int32_t label = ln__model_label(p->model, answers + r * p->model->classes, place < p->places, &probability);
        p->right[place * rows + r] = label == p->features.labels[r];
        right += p->right[place * rows + r];
        if (place < p->places)
            p->level[place * rows + r] = ln__confidence_level(probability);
    }
    if (place < p->places)
        p->accuracy[place] = (double)right / (double)rows;
}

/* Answers of a head that learns from the others' rows; the epochs of these short fits are not reported. */
static ln_status try_head(placing *p, const ln__classifier_task *task, ln_error *err)
{
    ln__reporter silent = ln__reporter_make(NULL, NULL);
    ln_progress progress = ln__progress_make("place");
    ln__fit_result result;
    ln__mlp mlp;
    ln_status st = ln__classifier_train(&mlp, NULL, p->logits, &result, task, p->pool, &silent, &progress, &p->model->ctx, err);

    if (st == LN_OK)
        ln__mlp_free(&mlp, &p->model->ctx);
    return st;
}

static ln_status try_places(placing *p, ln_error *err)
{
    ln_progress progress = ln__progress_make("place");
    ln_status st = LN_OK;

    progress.total = p->places;
    progress.rows_per_second = NAN;     /* places are counted */
    ln__reporter_begin(&p->reporter);
    for (uint32_t i = 0; st == LN_OK && i < p->places; i++) {
        const ln__cache *x = &p->features.exit[i];
        ln__classifier_task task = task_for(p, x, (int64_t)x->width, i + 1);
        st = try_head(p, &task, err);
        if (st < 0)
            break;
        record_answers(p, i, p->logits);
        progress.exit = i;
        progress.done = i + 1;
        progress.accuracy = p->accuracy[i];
        st = ln__report(&p->reporter, &progress, true, err);
    }
    return st;
}

/* The network's own end, or a trial of its last layer where that is to be trained. */
static ln_status try_end(placing *p, ln_error *err)
{
    ln__final_form form;

    if (p->features.end.data) {
        record_answers(p, p->places, p->features.end.data);
        return LN_OK;
    }
    ln_status st = ln__final_describe(&form, p->model, err);
    if (st < 0)
        return st;
    ln__classifier_task task = task_for(p, &p->features.last, p->model->final.inputs, 0);
    task.positions = form.positions;
    task.relu = form.relu;
    st = try_head(p, &task, err);
    if (st == LN_OK)
        record_answers(p, p->places, p->logits);
    return st;
}

static ln_status collect_answers(placing *p, ln_error *err)
{
    ln_exit_options small = { .struct_size = sizeof small, .head = LN_HEAD_POOL, .hidden = UINT32_MAX,
                              .cells = p->options.heads->head == LN_HEAD_CONV ? 0 : p->options.heads->cells,
                              .covariance = p->options.heads->covariance };
    ln_model *model = p->model;
    ln__cache_place place = { .ctx = &model->ctx, .memory_left = p->options.max_memory, .folder = p->options.cache_folder };
    ln__features_request request = { .data = p->rows, .more = p->options.head_rows, .seed = p->options.seed, .threads = p->options.threads,
                                     .last_layer = model->final.replaced && !model->final.trained };
    ln_status st = put_exits(p, &small, true, err);

    if (st == LN_OK)
        order_names(p);
    if (st == LN_OK)
        st = ln__features_run(&p->features, model, &request, &place, &p->reporter, err);
    if (st < 0)
        return st;
    size_t rows = p->features.rows;
    if (rows < 2 * FOLDS)
        return ln__fail(err, LN_E_ARGUMENT, "%zu rows are too few to place exits by; at least %d", rows, 2 * FOLDS);
    p->logits = ln__array(&model->ctx, rows, model->classes * sizeof(float));
    p->level = ln__array(&model->ctx, rows, p->places * sizeof *p->level);
    p->right = ln__array(&model->ctx, rows, p->places + 1);
    if (!p->logits || !p->level || !p->right)
        return ln__fail_nomem(err, &model->ctx, rows * model->classes * sizeof(float));
    st = ln__folds_make(&p->fold, p->features.labels, rows, model->classes, FOLDS, p->options.seed, &model->ctx, err);
    if (st == LN_OK)
        st = ln__pool_new(&p->pool, &model->ctx, p->options.threads, err);
    if (st == LN_OK)
        st = try_places(p, err);
    if (st == LN_OK)
        st = try_end(p, err);
    return st;
}

/* ---- Costs -------------------------------------------------------------------------------------- */

static void count_costs(placing *p)
{
    const ln_model *model = p->model;
    double params[LN__MAX_EXITS + 1], macs[LN__MAX_EXITS + 1], heads = 0.0;
    const double *shares = p->options.cost == LN_COST_PARAMS ? params : macs;

    ln__model_cost_shares(model, NULL, params, macs);
    for (uint32_t i = 0; i < p->places; i++) {
        ln__cost head = ln__head_cost(&model->exits[i].head);
        p->head[i] = p->options.cost == LN_COST_PARAMS ? (double)head.params / (double)LN__MAX(model->plain.params, 1)
                                                       : (double)head.macs / (double)LN__MAX(model->plain.macs, 1);
        heads += p->head[i];
        p->reach[i] = shares[i] - heads;
    }
    p->reach[p->places] = 1.0;
}

static ln_status read_first(placing *p, float *input, ln_error *err)
{
    ln__feed feed = ln__model_feed(p->model);
    ln__reader *reader = NULL;
    int32_t label;
    size_t n = 0;
    ln_status st = ln__reader_open(&reader, p->rows, &feed, 1, 0, ln_data_rows(p->rows), err);

    if (st == LN_OK)
        st = ln__reader_next(reader, input, &label, NULL, &n, err);
    ln__reader_close(reader);
    return st < 0 ? st : LN_OK;
}

/* Of one row and one thread. Untrained heads take as long as trained ones; those that read all activations are too
 * large to be made for every candidate and stay counted by multiply-adds. */
static ln_status measure_costs(placing *p, ln_error *err)
{
    ln_model *model = p->model;
    ln__session_request request = { .max_rows = 1, .threads = 1, .point = -1, .untrained = true };
    ln_stage_time times[LN__MAX_EXITS + 1];
    bool measure_heads = p->options.heads->head != LN_HEAD_FLATTEN;
    float *input = ln__array(&model->ctx, (size_t)model->channels * model->height, model->width * sizeof(float));
    ln_session *session = NULL;
    ln_status st = input ? read_first(p, input, err) : ln__fail_nomem(err, &model->ctx, model->height);

    for (uint32_t i = 0; st == LN_OK && measure_heads && i < p->places; i++)
        st = ln__head_new(&model->exits[i].head, &model->ctx, (int32_t)model->classes, err);
    if (st == LN_OK)
        st = ln__session_open(&session, model, &request, err);
    if (st == LN_OK)
        st = ln__session_measure(session, input, 1, REPEATS, times, err);
    double plain = 0, spent = 0;
    for (uint32_t i = 0; st == LN_OK && i <= p->places; i++)
        plain += times[i].backbone_ms;
    for (uint32_t i = 0; st == LN_OK && plain > 0 && i <= p->places; i++) {
        spent += times[i].backbone_ms;
        p->reach[i] = spent / plain;
        if (i < p->places && measure_heads)
            p->head[i] = times[i].head_ms / plain;
    }
    ln__session_close(session);
    ln__free(&model->ctx, input);
    return st;
}

static ln_status make_costs(placing *p, ln_error *err)
{
    ln_status st = put_exits(p, p->options.heads, true, err);

    if (st < 0)
        return st;
    count_costs(p);
    return p->options.cost == LN_COST_TIME ? measure_costs(p, err) : LN_OK;
}

/* ---- The choice ------------------------------------------------------------------------------------ */

/* Budgets that an exit can keep. A search for one that none keeps would end at the cheapest exit, whatever the others ask for.
 * Where none is left: one halfway to the whole network's cost. */
static size_t kept_budgets(const placing *p, double *out)
{
    double least = 1.0;
    size_t n = 0;

    for (uint32_t i = 0; i < p->places; i++)
        least = fmin(least, p->reach[i] + p->head[i]);
    for (size_t b = 0; b < p->options.n_budgets; b++)
        if (p->options.budgets[b] >= least)
            out[n++] = p->options.budgets[b];
    if (n == 0)
        out[n++] = 0.5 * (least + 1.0);
    return n;
}

static ln_status choose(placing *p, ln_error *err)
{
    const ln__ctx *ctx = &p->model->ctx;
    double *budgets = ln__array(ctx, p->options.n_budgets, sizeof *budgets);

    if (!budgets)
        return ln__fail_nomem(err, ctx, p->options.n_budgets * sizeof *budgets);
    ln__placement placement = { .rows = (int64_t)p->features.rows, .places = p->places, .level = p->level, .right = p->right,
                                .reach = p->reach, .head = p->head, .budgets = budgets, .n_budgets = kept_budgets(p, budgets) };
    ln__placement_search(p->chosen, p->gain, &placement, p->options.exits, p->options.max_exits);
    ln__free(ctx, budgets);
    return LN_OK;
}

/* Names are the graph's, which outlives the exits. */
static void tell(const placing *p, ln_place *out, size_t capacity, size_t *count)
{
    const ln_model *model = p->model;

    if (count)
        *count = p->places;
    for (uint32_t i = 0; i < p->places && i < capacity; i++)
        out[i] = (ln_place){ .value = model->graph->values[ln__graph_find(model->graph, p->names[i])].name,
                             .share = p->reach[i], .head_share = p->head[i], .accuracy = p->accuracy[i],
                             .gain = p->gain[i], .chosen = p->chosen[i] };
}

/* The features of chosen places stay for ln_exit_train where its heads read the same. Caches of the others go. */
static ln_status leave_features(placing *p, ln_error *err)
{
    ln_model *model = p->model;
    ln__training *t;
    uint32_t exit = 0;

    if (p->options.heads->head != LN_HEAD_POOL || p->options.head_rows)
        return LN_OK;
    t = ln__calloc(&model->ctx, 1, sizeof *t);
    if (!t)
        return ln__fail_nomem(err, &model->ctx, sizeof *t);
    for (uint32_t i = 0; i < p->places; i++) {
        ln__cache cache = p->features.exit[i];
        memset(&p->features.exit[i], 0, sizeof cache);
        if (p->chosen[i])
            p->features.exit[exit++] = cache;
        else
            ln__cache_free(&cache, &model->ctx);
    }
    p->features.exits = exit;
    t->features = p->features;
    t->data = ln__data_retain(p->rows);
    memset(&p->features, 0, sizeof p->features);
    model->training = t;
    model->training_free = ln__training_free;
    return LN_OK;
}

static ln_status check_model(ln_model *model, ln_error *err)
{
    ln_status st = ln__model_change(model, "ln_exit_place", err);

    if (st == LN_OK && model->n_exits)
        st = ln__fail(err, LN_E_STATE, "the model has %u exits; call ln_exit_clear before ln_exit_place", model->n_exits);
    return st;
}

ln_status ln__exits_place(ln_model *model, ln_data *rows, const ln_place_options *options, ln_place *out, size_t capacity,
                          size_t *count, ln_error *err)
{
    placing p = { .model = model, .options = *options, .rows = rows };
    ln_status st = fill_defaults(&p.options, err);

    if (st == LN_OK)
        st = check_model(model, err);
    if (st < 0)
        return st;
    p.reporter = ln__reporter_make(options->progress, options->progress_payload);
    ln__row_set learned = { 0 };
    st = ln__train_gather_rows(&learned, model, rows, options->head_rows, err);
    ln__row_set_clear(&learned, &model->ctx);
    if (st == LN_OK)
        st = ln__model_adopt_classes(model, rows, err);
    if (st == LN_OK)
        st = list_places(&p, err);
    if (st == LN_OK)
        st = collect_answers(&p, err);
    if (st == LN_OK)
        st = make_costs(&p, err);
    if (st == LN_OK)
        st = choose(&p, err);
    if (st == LN_OK)
        st = put_exits(&p, p.options.heads, false, err);
    size_t skipped = p.features.skipped;
    if (st == LN_OK)
        st = leave_features(&p, err);
    if (st == LN_OK)
        tell(&p, out, capacity, count);
    else
        ln__exits_clear(model);
    placing_free(&p);
    return st == LN_OK && skipped ? LN_SKIPPED : st;
}
