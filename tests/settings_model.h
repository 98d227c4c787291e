/* settings_model.h - the small network with exits, gates and settings of several policies, trained in a second or two. */
#ifndef LN_TEST_SETTINGS_MODEL_H
#define LN_TEST_SETTINGS_MODEL_H

#include "api_calls.h"

static inline void train_gates(ln_model *model, ln_data *data, const double *alphas, size_t n)
{
    ln_gate_options g = LN_GATE_OPTIONS_INIT;

    g.alphas = alphas;
    g.n_alphas = n;
    g.epochs = 10;
    g.threads = 2;
    g.cost = LN_COST_MACS;
    OK(ln_gate_train(model, data, &g, &err));
}

static inline ln_model *trained(void)
{
    static const double alphas[] = { 0.2, 0.5, 0.8 };
    ln_exit_options e = LN_EXIT_OPTIONS_INIT;
    ln_train_options t = LN_TRAIN_OPTIONS_INIT;
    ln_model *model = NULL;
    ln_data *data = open_rows(DATA ":part=0/2");

    OK(ln_model_load(&model, MODEL, NULL, &err));
    e.hidden = 16;
    OK(ln_exit_add_auto(model, 2, &e, &err));
    t.epochs = 6;
    t.threads = 2;
    OK(ln_exit_train(model, data, &t, &err));
    train_gates(model, data, alphas, 1);
    train_gates(model, data, alphas + 1, 2);
    ln_policy_options p = LN_POLICY_OPTIONS_INIT;
    static const int32_t others[] = { LN_POLICY_PATIENCE, LN_POLICY_EENET, LN_POLICY_ENSEMBLE };
    p.policies = others;
    p.n_policies = 3;
    p.cost = LN_COST_MACS;
    p.threads = 2;
    OK(ln_policy_train(model, data, &p, &err));
    ln_data_free(data);
    return model;
}

static inline ln_setting setting(const ln_model *model, uint32_t index)
{
    ln_setting s = LN_SETTING_INIT;
    OK(ln_setting_get(model, LN_POLICY_GATE, index, &s, &err));
    return s;
}

static inline void calibrate(ln_model *model, const char *spec)
{
    ln_calibrate_options o = LN_CALIBRATE_OPTIONS_INIT;
    ln_data *data = open_rows(spec);

    o.threads = 2;
    OK(ln_policy_calibrate(model, data, &o, &err));
    ln_data_free(data);
}

#endif
