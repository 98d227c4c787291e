/* train.h - training heads, final classifier and gates. */
#ifndef LN_TRAIN_H
#define LN_TRAIN_H

#include "session/session.h"

ln_status ln__exits_train(ln_model *model, ln_data *rows, const ln_train_options *options, ln_error *err);
ln_status ln__gates_train(ln_model *model, ln_data *rows, const ln_gate_options *options, ln_error *err);

#endif
