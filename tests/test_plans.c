/* Plans of real networks hold no unoptimised kernel. The networks are looked
 * for in ../shared/data/models and in $LN_NETWORKS (a folder of .onnx files);
 * what is missing is said by name. */
#include "engine/engine.h"
#include "onnx/onnx.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "run_suite.h"

static const char *const networks[] = {
    "cifar100_resnet20", "cifar100_resnet56", "cifar10_resnet56", "imagenet_mobilenet_v1_075",
    "imagenet_squeezenet1_0", "resnet50_imagenette",
    "resnet50", "resnet18", "densenet121", "alexnet", "mobilenet_v2", "squeezenet1_1", "efficientnet_b0", "vgg11_c100",
};

static bool find(char path[512], const char *name)
{
    const char *folders[] = { getenv("LN_NETWORKS"), "../shared/data/models", "build/networks" };
    for (size_t i = 0; i < LN__COUNT(folders); i++) {
        if (!folders[i])
            continue;
        snprintf(path, 512, "%s/%s.onnx", folders[i], name);
        if (access(path, R_OK) == 0)
            return true;
    }
    return false;
}

static void check_plans(ln__engine *engine, const ln__cut *cut, const char *name)
{
    ln_error err = { 0 };
    for (int64_t rows = 1; rows <= 8; rows += 7) {
        ln__plan *plan = NULL;
        size_t n = 0;
        ck_assert_msg(ln__plan_new(&plan, engine, cut, 0, rows, 1, &err) == LN_OK, "%s: %s", name, err.text);
        for (; ln__plan_step(plan, n); n++)
            ck_assert_msg(!ln__plan_step_is_reference(plan, n), "%s, %d rows: %s", name, (int)rows, ln__plan_step(plan, n));
        ck_assert_uint_gt(n, 5);
        ln__plan_free(plan);
    }
}

START_TEST(no_reference_kernels)
{
    const char *name = networks[_i];
    char path[512];
    ln__ctx ctx = ln__ctx_make(NULL, NULL, NULL);
    ln_error err = { 0 };
    ln__onnx *onnx;
    ln__graph *raw, *folded, *fused;
    ln__engine *engine;
    ln__cut *cut;

    if (!find(path, name)) {
        printf("skip plans of %s: no %s.onnx in ../shared/data/models or $LN_NETWORKS\n", name, name);
        return;
    }
    ck_assert_msg(ln__onnx_load(&onnx, &ctx, path, NULL, &err) == LN_OK, "%s", err.text);
    ck_assert_msg(ln__onnx_graph(&raw, onnx, NULL, 0, &err) == LN_OK, "%s", err.text);
    ck_assert_msg(ln__graph_fold(&folded, raw, NULL, 0, &err) == LN_OK, "%s", err.text);
    ck_assert_msg(ln__graph_fuse(&fused, folded, NULL, 0, &err) == LN_OK, "%s", err.text);
    ck_assert_msg(ln__graph_cut(&cut, fused, NULL, 0, &err) == LN_OK, "%s", err.text);
    ck_assert_msg(ln__engine_new(&engine, &ctx, fused, NULL, &err) == LN_OK, "%s", err.text);
    check_plans(engine, cut, name);
    ln__engine_release(engine);
    ln__cut_free(cut, &ctx);
    ln__graph_free(folded);
    ln__graph_free(raw);
    ln__onnx_free(onnx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("plans");
    TCase *c = tcase_create("real networks");
    tcase_add_loop_test(c, no_reference_kernels, 0, (int)LN__COUNT(networks));
    suite_add_tcase(s, c);
    return run_suite(s);
}
