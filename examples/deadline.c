/* deadline.c - an answer by a given time, as a camera's program needs one.
 *
 *     cc deadline.c $(pkg-config --cflags --libs leenet)
 *     ./a.out early.onnx pictures/ 20
 */
#include <leenet/leenet.h>
#include <stdio.h>
#include <stdlib.h>

static int run(ln_model *model, ln_session *session, ln_data *pictures, double ms, ln_error *err)
{
    ln_model_info info = LN_MODEL_INFO_INIT;
    uint32_t exits = ln_model_exit_count(model);
    ln_stage_time *times = calloc((size_t)exits + 1, sizeof *times);
    ln_counters counters = LN_COUNTERS_INIT;
    ln_status st = ln_model_get_info(model, &info, err);
    size_t row = (size_t)info.channels * info.height * info.width;
    float *input = calloc(row ? row : 1, sizeof *input);
    ln_result answer;
    double p;

    /* Measured before it matters; every later call refines it. */
    if (st >= 0)
        st = ln_data_read(pictures, model, 0, 1, input, NULL, err);
    if (st >= 0)
        st = ln_session_measure(session, input, 1, 5, times, err);
    for (size_t i = 0; st >= 0 && i < ln_data_rows(pictures); i++) {
        st = ln_data_read(pictures, model, i, 1, input, NULL, err);
        if (st >= 0)
            st = ln_infer_deadline(session, input, 1, ms, &answer, NULL, err);
        if (st >= 0)
            printf("%s: %s, %.1f %%, exit %u of %u%s\n", ln_data_row_name(pictures, i),
                   ln_model_class_name(model, answer.label), 100.0 * answer.probability,
                   (unsigned)answer.exit, (unsigned)exits, st == LN_DEADLINE ? ", out of time" : "");
    }
    if (st >= 0 && ln_session_get_counters(session, &counters, err) >= 0)
        printf("%llu pictures, %llu stopped by the deadline\n", (unsigned long long)counters.rows,
               (unsigned long long)counters.cut);
    if (st >= 0 && ln_session_drift(session, &p, NULL) == LN_OK && p < 0.001)
        printf("these pictures are not like those of training (p = %.2g)\n", p);
    free(times);
    free(input);
    return st < 0;
}

int main(int argc, char **argv)
{
    ln_model *model = NULL;
    ln_session *session = NULL;
    ln_data *pictures = NULL;
    ln_error err = { 0 };
    int failed;

    if (argc != 4) {
        fprintf(stderr, "usage: %s MODEL.onnx PICTURES MILLISECONDS\n", argv[0]);
        return 2;
    }
    failed = ln_model_load(&model, argv[1], NULL, &err) < 0
        || ln_session_open(&session, model, NULL, &err) < 0
        || ln_data_open(&pictures, argv[2], NULL, &err) < 0
        || run(model, session, pictures, atof(argv[3]), &err);
    if (failed)
        fprintf(stderr, "%s\n", err.text);
    ln_data_free(pictures);
    ln_session_free(session);
    ln_model_free(model);
    return failed;
}
