/* shares.c - what leaving at an exit costs, as shares of the plain network. */
#include "model/model.h"

static ln__cost exit_extra(const ln_model *model, const ln__gates *gates, uint32_t exit)
{
    ln__cost cost = ln__head_cost(&model->exits[exit].head);

    if (gates) {
        ln__cost gate = ln__gates_cost(gates, exit, (int32_t)model->classes);
        cost.params += gate.params;
        cost.macs += gate.macs;
    }
    return cost;
}

void ln__model_cost_shares(const ln_model *model, const ln__gates *gates, double *params, double *macs)
{
    double whole_params = model->plain.params ? (double)model->plain.params : 1.0;
    double whole_macs = model->plain.macs ? (double)model->plain.macs : 1.0;
    ln__cost extra = { 0, 0 };

    for (uint32_t e = 0; e <= model->n_exits; e++) {
        ln__cost before = model->plain;
        if (e < model->n_exits) {
            ln__cost own = exit_extra(model, gates, e);
            extra.params += own.params;
            extra.macs += own.macs;
            before = model->exits[e].before;
        }
        params[e] = (double)(before.params + extra.params) / whole_params;
        macs[e] = (double)(before.macs + extra.macs) / whole_macs;
    }
}

void ln__point_expect(ln__point *point, const ln_model *model, const double *time)
{
    double params[LN__MAX_EXITS + 1], macs[LN__MAX_EXITS + 1];
    ln_point_info *m = &point->measured;

    ln__model_cost_shares(model, &point->gates, params, macs);
    m->params_share = m->macs_share = m->time_share = 0;
    for (uint32_t e = 0; e <= model->n_exits; e++) {
        m->params_share += point->shares[e] * params[e];
        m->macs_share += point->shares[e] * macs[e];
        m->time_share += point->shares[e] * time[e];
    }
}
