/* fuzz_model.c - ONNX bytes, loaded, asked everything, and if it is a small
 * network run, saved and loaded again. */
#include "fuzz_heap.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const ln_model *model)
{
    ln_exit_candidate candidates[8];
    ln_preprocess preprocess = LN_PREPROCESS_INIT;
    ln_model_info info = LN_MODEL_INFO_INIT;
    size_t count;

    if (ln_model_get_info(model, &info, NULL) < 0)
        abort();
    for (uint32_t i = 0; i < ln_model_exit_count(model); i++) {
        ln_exit_info exit = LN_EXIT_INFO_INIT;
        if (ln_exit_get_info(model, i, &exit, NULL) < 0)
            abort();
        for (uint32_t p = 0; p < ln_model_point_count(model); p++)
            if (!(ln_point_threshold(model, p, i) >= 0.0))
                abort();
    }
    for (uint32_t p = 0; p < ln_model_point_count(model); p++) {
        ln_point_info point = LN_POINT_INFO_INIT;
        if (ln_point_get_info(model, p, &point, NULL) < 0)
            abort();
    }
    (void)ln_model_class_name(model, (int32_t)ln_model_class_count(model) - 1);
    (void)ln_model_get_preprocess(model, &preprocess, NULL);
    if (ln_exit_candidates(model, candidates, 8, &count, NULL) >= 0 && count > info.nodes)
        abort();
}

static void run(ln_model *model, const ln_model_info *info)
{
    size_t inputs = (size_t)info->channels * info->height * info->width;
    float *input = calloc(inputs, sizeof *input);
    ln_session *session;
    ln_result result;

    if (input != NULL && ln_session_open(&session, model, NULL, NULL) >= 0) {
        if (ln_infer_early(session, input, 1, &result, NULL, NULL) >= 0
            && (result.label < 0 || (uint32_t)result.label >= info->classes || result.exit > info->exits))
            abort();
        ln_session_free(session);
    }
    free(input);
}

static void save_and_load(const ln_model *model, const ln_load_options *options)
{
    char path[100];
    ln_model *again;

    snprintf(path, sizeof path, "/tmp/leenet-fuzz-%ld.onnx", (long)getpid());
    if (ln_model_save(model, path, NULL) < 0)
        return;
    if (ln_model_load(&again, path, options, NULL) < 0)
        abort();
    ln_model_free(again);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ln_load_options options = LN_LOAD_OPTIONS_INIT;
    ln_model_info info = LN_MODEL_INFO_INIT;
    fuzz_heap heap;
    ln_allocator allocator = fuzz_heap_allocator(&heap);
    ln_model *model;

    options.allocator = &allocator;
    options.max_memory = 64 << 20;
    if (ln_model_load_memory(&model, data, size, &options, NULL) >= 0) {
        ask(model);
        if (ln_model_get_info(model, &info, NULL) < 0)
            abort();
        if (info.macs < 10000000 && info.params < 10000000
            && (uint64_t)info.channels * info.height * info.width < 1000000)
            run(model, &info);
        save_and_load(model, &options);
        ln_model_free(model);
    }
    fuzz_heap_end(&heap);
    return 0;
}
