/* emission.h - what the emission of one exit's scores shares. Private to policy/. */
#ifndef LN_EMISSION_H
#define LN_EMISSION_H

#include "policy/policy.h"

typedef struct ln__emission {
    ln__onnx_edit *edit;
    uint32_t exit;
    int32_t  classes;
    bool     made_p, made_log_p, made_largest, made_certainty, made_margin, made_run;
} ln__emission;

/* Values of the exit, made when first asked for. */
ln__name ln__emit_p(ln__emission *e);       /* softmax of its logits [N,classes] */
ln__name ln__emit_log_p(ln__emission *e);

/* Score [N,1] of a point whose policy is not GATE. */
ln__name ln__score_emit(ln__emission *e, const ln__gates *gates, uint32_t point);

#endif
