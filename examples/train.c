/* train.c - the main job: a trained network and labelled pictures in, a network
 * that answers early out.
 *
 *     cc train.c $(pkg-config --cflags --libs leenet)
 *     ./a.out resnet50.onnx imagenette/train early.onnx
 */
#include <leenet/leenet.h>
#include <stdio.h>

static int show(const ln_progress *p, void *payload)
{
    (void)payload;
    if (p->done == p->total)
        fprintf(stderr, "%s %u: %llu rows\n", p->stage, (unsigned)p->exit, (unsigned long long)p->total);
    return 0;   /* anything else stops the training */
}

static ln_status make_early(ln_model *model, ln_data *rows, const char *to, ln_error *err)
{
    const double alphas[] = { 0.2, 0.4, 0.6, 0.8 };
    ln_train_options heads = LN_TRAIN_OPTIONS_INIT;
    ln_gate_options gates = LN_GATE_OPTIONS_INIT;
    ln_status st;

    heads.progress = gates.progress = show;
    gates.alphas = alphas;
    gates.n_alphas = sizeof alphas / sizeof alphas[0];
    if ((st = ln_exit_add_auto(model, 3, NULL, err)) < 0
        || (st = ln_exit_train(model, rows, &heads, err)) < 0
        || (st = ln_gate_train(model, rows, &gates, err)) < 0)
        return st;
    for (uint32_t i = 0; i < ln_model_point_count(model); i++) {
        ln_point_info point = LN_POINT_INFO_INIT;
        if ((st = ln_point_get_info(model, i, &point, err)) < 0)
            return st;
        printf("alpha %.1f: accuracy %.2f %% (plain %.2f %%) at %.0f %% of the time\n", point.alpha,
               100.0 * point.accuracy, 100.0 * point.plain_accuracy, 100.0 * point.time_share);
    }
    return ln_model_save(model, to, err);
}

int main(int argc, char **argv)
{
    ln_model *model = NULL;
    ln_data *rows = NULL;
    ln_error err;
    int status = 1;

    if (argc != 4) {
        fprintf(stderr, "usage: %s MODEL.onnx DATA OUTPUT.onnx\n", argv[0]);
        return 2;
    }
    if (ln_model_load(&model, argv[1], NULL, &err) < 0
        || ln_data_open(&rows, argv[2], NULL, &err) < 0
        || make_early(model, rows, argv[3], &err) < 0)
        fprintf(stderr, "%s\n", err.text);
    else
        status = 0;
    ln_data_free(rows);
    ln_model_free(model);
    return status;
}
