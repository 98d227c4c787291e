/* train_exits.c - ln_exit_train: features once, then every head, then the last layer if it was replaced. */
#include "train/wide.h"

#include <string.h>

enum { LEAST_CONV_BATCH = 8, FEW_FOLDS = 5, MANY_FOLDS = 10, USUAL_BATCH = 64, WIDE_BATCH = 128 };
static const double USUAL_RATE = 1e-3, USUAL_CONV_RATE = 5e-3;

typedef struct exits_job {
    ln_model        *model;
    ln_train_options options;   /* defaults filled in, but for folds, batch and rate */
    ln__training    *training;
    ln__reporter     reporter;
    ln__pool        *pool;
    ln__cache_place  place;
} exits_job;

void ln__training_free(const ln__ctx *ctx, void *payload)
{
    ln__training *t = payload;

    for (size_t i = 0; i < LN__COUNT(t->logits); i++)
        ln__free(ctx, t->logits[i]);
    ln__features_free(&t->features, ctx);
    ln__scored_free(&t->scored, ctx);
    ln__free(ctx, t->fold);
    ln_data_free(t->data);
    ln__free(ctx, t);
}

/* The more folds, the more what they say of held-out rows is like what the heads in use will say of others; but each is a training. */
static uint32_t default_folds(const ln_model *model, size_t rows)
{
    bool cheap = rows >= 2 * MANY_FOLDS;

    for (uint32_t e = 0; e < model->n_exits; e++)
        cheap = cheap && model->exits[e].head.kind == LN_HEAD_POOL;
    return cheap ? MANY_FOLDS : FEW_FOLDS;
}

static ln_status fill_defaults(ln_train_options *o, ln_error *err)
{
    if (!(o->learning_rate >= 0 && o->learning_rate <= 10) || !(o->weight_decay <= 100))
        return ln__fail(err, LN_E_ARGUMENT, "learning rate %g (0..10) or weight decay %g (up to 100) is out of range",
                        o->learning_rate, o->weight_decay);
    o->threads = o->threads ? o->threads : ln__cpu_count();
    o->epochs = o->epochs ? o->epochs : 20;
    o->weight_decay = o->weight_decay < 0 ? 0.0 : o->weight_decay > 0 ? o->weight_decay : 0.05;
    o->max_memory = o->max_memory ? o->max_memory : UINT64_C(1) << 32;
    if (!(o->label_smoothing >= 0 && o->label_smoothing < 1) || !(o->dropout >= 0 && o->dropout < 1) ||
        !(o->distill >= 0 && o->distill <= 1))
        return ln__fail(err, LN_E_ARGUMENT, "label smoothing %g, dropout %g or distill %g is out of range; smoothing and dropout 0 to below 1, "
                        "distill 0..1", o->label_smoothing, o->dropout, o->distill);
    if (o->augment > 1000)
        return ln__fail(err, LN_E_ARGUMENT, "augment %u; at most 1000 passes", o->augment);
    if (o->folds == 1 || o->folds > LN__MAX_FOLDS)
        return ln__fail(err, LN_E_ARGUMENT, "folds %u; 2..%d", o->folds, LN__MAX_FOLDS);
    if (o->batch > LN__MAX_BATCH)
        return ln__fail(err, LN_E_ARGUMENT, "batch %u; 1..%d", o->batch, LN__MAX_BATCH);
    if (o->threads > 1024)
        return ln__fail(err, LN_E_ARGUMENT, "threads %u; 1..1024", o->threads);
    if (o->epochs > 100000)
        return ln__fail(err, LN_E_ARGUMENT, "epochs %u; 1..100000", o->epochs);
    return LN_OK;
}

static ln_status check_rows(const exits_job *job, size_t rows, ln_error *err)
{
    size_t folds = job->options.folds ? job->options.folds : FEW_FOLDS;

    if (rows < 2 * folds)
        return ln__fail(err, LN_E_ARGUMENT, "%zu rows are too few to train on; %zu folds need at least %zu", rows, folds, 2 * folds);
    if (rows > UINT32_MAX)
        return ln__fail(err, LN_E_LIMIT, "%zu rows; at most %u", rows, UINT32_MAX);
    return LN_OK;
}

/* What ln_exit_place has left, if that is what these options would gather. */
static bool take_placed(exits_job *job, const ln_data *rows)
{
    ln_model *model = job->model;
    ln__training *placed = model->training;
    bool conv = false;

    for (uint32_t e = 0; e < model->n_exits; e++)
        conv = conv || model->exits[e].head.kind == LN_HEAD_CONV;
    if (!placed || placed->folds || placed->data != rows || job->options.augment || job->options.head_rows || conv)
        return false;
    job->training = placed;
    model->training = NULL;
    return true;
}

static ln_status make_training(exits_job *job, ln_data *rows, ln_error *err)
{
    ln_model *model = job->model;
    bool placed = take_placed(job, rows);
    ln__training *t = placed ? job->training : ln__calloc(&model->ctx, 1, sizeof *t);

    ln__model_drop_training(model);
    if (!t)
        return ln__fail_nomem(err, &model->ctx, sizeof *t);
    job->training = t;
    job->place = (ln__cache_place){ .ctx = &model->ctx, .memory_left = job->options.max_memory, .folder = job->options.cache_folder };
    if (!placed)
        t->data = ln__data_retain(rows);
    bool last = model->final.replaced && !model->final.trained;
    const ln_train_options *o = &job->options;
    if (o->distill > 0 && last)
        return ln__fail(err, LN_E_ARGUMENT, "distill %g: the network's last layer is new and has no answers to learn from yet",
                        o->distill);
    ln__features_request request = { .data = rows, .more = o->head_rows, .augment = o->augment, .seed = o->seed, .last_layer = last,
                                     .learning = true, .threads = o->threads };
    ln_status st = placed ? LN_OK : ln__features_run(&t->features, model, &request, &job->place, &job->reporter, err);
    if (st == LN_OK)
        st = check_rows(job, t->features.rows, err);
    t->folds = o->folds ? o->folds : default_folds(model, t->features.rows);
    if (st == LN_OK)
        st = ln__folds_make(&t->fold, t->features.labels, t->features.rows, model->classes, t->folds, job->options.seed,
                            &model->ctx, err);
    for (uint32_t e = 0; st == LN_OK && e <= model->n_exits; e++) {
        t->logits[e] = ln__array(&model->ctx, t->features.rows, model->classes * sizeof(float));
        if (!t->logits[e])
            st = ln__fail_nomem(err, &model->ctx, t->features.rows * model->classes * sizeof(float));
    }
    return st;
}

/* Rows of some classes alone teach little, and ':first=N' takes them where they lie class by class. */
static ln_status tell_absent_classes(const exits_job *job, const ln_data *rows, ln_error *err)
{
    const ln_model *model = job->model;
    const ln__features *f = &job->training->features;
    bool *seen = ln__calloc(&model->ctx, model->classes, sizeof *seen);
    uint32_t present = 0, named = LN__MIN(ln_data_class_count(rows), model->classes);

    if (!seen)
        return ln__fail_nomem(err, &model->ctx, model->classes);
    for (size_t r = 0; r < f->rows; r++) {
        present += !seen[f->labels[r]];
        seen[f->labels[r]] = true;
    }
    ln__free(&model->ctx, seen);
    if (present < named)
        ln__log(&model->ctx, LN_LOG_WARNING, "the %zu rows are of %u of the data's %u classes; exits will be wrong on the others. "
                "Where rows were taken by ':first=N', which takes them in their order, ':share=K/M' takes some of each class",
                f->rows, present, named);
    return LN_OK;
}

static ln__classifier_task task_for(const exits_job *job, const ln__cache *x, int64_t inputs, uint32_t hidden, uint64_t stream)
{
    const ln__training *t = job->training;
    const ln_train_options *o = &job->options;

    return (ln__classifier_task){ .rows = &t->features, .x = x, .fold = t->fold, .folds = t->folds,
                                  .classes = job->model->classes, .hidden = hidden, .batch = o->batch ? o->batch : USUAL_BATCH, .epochs = o->epochs,
                                  .inputs = inputs, .positions = 1, .rate = o->learning_rate > 0 ? o->learning_rate : USUAL_RATE, .decay = o->weight_decay,
                                  .smoothing = o->label_smoothing, .dropout = o->dropout, .distill = o->distill,
                                  .end_is_probability = job->model->output_is_probability,
                                  .seed = o->seed * 1000 + stream };
}

/* Convolutions are normalised by the statistics of a batch. */
static ln_status check_batch(const exits_job *job, ln_error *err)
{
    bool any = false;

    for (uint32_t e = 0; e < job->model->n_exits; e++)
        any = any || job->model->exits[e].head.kind == LN_HEAD_CONV;
    if (any && job->options.batch && job->options.batch < LEAST_CONV_BATCH)
        return ln__fail(err, LN_E_ARGUMENT, "batch %u; convolutional heads need batches of %d rows or more", job->options.batch,
                        LEAST_CONV_BATCH);
    return LN_OK;
}

/* The answer of the exit before and the head's own, weighed so that together they fit the rows that neither has learned
 * from best. */
static ln_status chain_head(exits_job *job, uint32_t e, ln_error *err)
{
    ln_model *model = job->model;
    ln__training *t = job->training;
    ln__exit *exit = &model->exits[e];
    size_t rows = t->features.rows, classes = model->classes, right = 0;
    const float *const pair[2] = { t->logits[e - 1], t->logits[e] };
    double weight[2], *scratch = ln__array(&model->ctx, classes, 3 * sizeof *scratch);
    float probability;

    if (!scratch)
        return ln__fail_nomem(err, &model->ctx, classes * 3 * sizeof *scratch);
    ln__ensemble_fit(weight, pair, t->features.labels, (int64_t)rows, (int32_t)classes, 1, scratch);
    ln__free(&model->ctx, scratch);
    ln__mlp_fold_output(&exit->head.mlp, (float)weight[1]);
    exit->head.carry = (float)weight[0];
    for (size_t i = 0; i < rows * classes; i++)
        t->logits[e][i] *= (float)weight[1];
    ln__head_carry(&exit->head, t->logits[e - 1], t->logits[e], (int64_t)rows);
    for (size_t r = 0; r < rows; r++)
        right += ln__model_label(model, t->logits[e] + r * classes, true, &probability) == t->features.labels[r];
    exit->heldout_accuracy = (double)right / (double)rows;
    return LN_OK;
}

static ln_status train_head(exits_job *job, uint32_t e, ln_error *err)
{
    ln_model *model = job->model;
    ln__exit *exit = &model->exits[e];
    const ln__cache *features = &job->training->features.exit[e];
    ln_progress progress = ln__progress_make("head");
    ln__fit_result result;
    ln__head *head = &exit->head, learned = *head;

    progress.exit = e;
    ln__classifier_task task = task_for(job, features, head->mlp.inputs, (uint32_t)head->mlp.hidden, e + 1);
    task.head = head->kind == LN_HEAD_CONV ? head : NULL;
    bool linear = head->kind == LN_HEAD_FLATTEN && head->mlp.hidden == 0;
    task.wide = linear && task.dropout == 0;
    if (task.wide && !job->options.batch)
        task.batch = WIDE_BATCH;
    if (task.head && !(job->options.learning_rate > 0))
        task.rate = USUAL_CONV_RATE;
    if (linear && !(job->options.learning_rate > 0))
        task.rate = ln__wide_rate(USUAL_RATE, (size_t)task.inputs);
    ln_status st = ln__classifier_train(&learned.mlp, &learned.conv, job->training->logits[e], &result, &task, job->pool, &job->reporter, &progress,
                                        &model->ctx, err);
    if (st < 0)
        return st;
    ln__head_free(head, &model->ctx);
    *head = learned;
    head->carry = 0;
    exit->heldout_accuracy = result.accuracy;
    if (task.head)
        st = ln__features_settle(&job->training->features, e, head, &job->place, err);
    if (st == LN_OK && e > 0 && !job->options.unchained)
        st = chain_head(job, e, err);
    ln__mlp_round(&head->mlp);
    return st == LN_OK ? ln__mlp_narrow(&head->mlp, &model->ctx, err) : st;
}

static ln_status train_last(exits_job *job, ln_error *err)
{
    ln_model *model = job->model;
    ln__training *t = job->training;
    ln_progress progress = ln__progress_make("final");
    ln__final_form form;
    ln__fit_result result;
    ln__mlp mlp;
    ln_status st = ln__final_describe(&form, model, err);

    if (st < 0)
        return st;
    ln__classifier_task task = task_for(job, &t->features.last, model->final.inputs, 0, 0);
    task.positions = form.positions;
    task.relu = form.relu;
    st = ln__classifier_train(&mlp, NULL, t->logits[model->n_exits], &result, &task, job->pool, &job->reporter, &progress, &model->ctx, err);
    if (st < 0)
        return st;
    ln__final_store(model, ln__mlp_w2(&mlp), ln__mlp_b2(&mlp));
    ln__mlp_free(&mlp, &model->ctx);
    return LN_OK;
}

static ln_status train_all(exits_job *job, ln_error *err)
{
    ln_model *model = job->model;
    ln__training *t = job->training;
    ln_status st = LN_OK;

    if (t->features.end.data)
        memcpy(t->logits[model->n_exits], t->features.end.data, t->features.rows * model->classes * sizeof(float));
    for (uint32_t e = 0; st == LN_OK && e < model->n_exits; e++)
        st = train_head(job, e, err);
    if (st == LN_OK && t->features.last.data) {
        st = train_last(job, err);
        ln__runnable_free(&model->shared, &model->ctx);     /* built with the untrained layer */
    }
    return st;
}

static void swap(ln__row_set *a, ln__row_set *b)
{
    ln__row_set kept = *a;

    *a = *b;
    *b = kept;
}

/* A training that is stopped leaves some heads and no points, never heads that build on others they do not know. */
static void forget_heads(ln_model *model)
{
    ln__model_drop_points(model);
    for (uint32_t e = 0; e < model->n_exits; e++) {
        ln__head_free(&model->exits[e].head, &model->ctx);
        model->exits[e].head.carry = 0;
        model->exits[e].heldout_accuracy = 0;
    }
}

ln_status ln__exits_train(ln_model *model, ln_data *rows, const ln_train_options *options, ln_error *err)
{
    exits_job job = { .model = model, .options = *options };
    ln_status st = fill_defaults(&job.options, err);

    if (st == LN_OK)
        st = ln__model_change(model, "ln_exit_train", err);
    if (st == LN_OK)
        st = check_rows(&job, ln_data_rows(rows), err);
    if (st == LN_OK)
        st = check_batch(&job, err);
    if (st == LN_OK)
        st = ln__model_adopt_classes(model, rows, err);
    if (st == LN_OK && model->n_exits == 0 && !(model->final.replaced && !model->final.trained))
        st = ln__fail(err, LN_E_STATE, "the model has no exits to train; call ln_exit_add or ln_exit_add_auto first");
    if (st < 0)
        return st;
    job.reporter = ln__reporter_make(options->progress, options->progress_payload);
    ln__row_set learned = { 0 }, heads_learned = { 0 };
    st = ln__train_gather_rows(&learned, model, rows, job.options.head_rows, err);
    if (st == LN_OK)
        st = ln__row_set_copy(&heads_learned, &learned, &model->ctx, err);
    if (st == LN_OK)
        st = make_training(&job, rows, err);
    if (st == LN_OK)
        st = tell_absent_classes(&job, rows, err);
    if (st == LN_OK)
        st = ln__pool_new(&job.pool, &model->ctx, job.options.threads, err);
    if (st == LN_OK) {
        forget_heads(model);
        swap(&model->learned, &learned);
        swap(&model->heads_learned, &heads_learned);
        st = train_all(&job, err);
    }
    ln__row_set_clear(&learned, &model->ctx);
    ln__row_set_clear(&heads_learned, &model->ctx);
    size_t skipped = job.training ? job.training->features.skipped : 0;
    ln__pool_free(job.pool);
    if (st == LN_OK) {
        model->training = job.training;
        model->training_free = ln__training_free;
        return skipped ? LN_SKIPPED : LN_OK;
    }
    if (job.training)
        ln__training_free(&model->ctx, job.training);
    return st;
}
