/* operators_page.h - docs/operators.md, from the operator table. */
#ifndef LN_OPERATORS_PAGE_H
#define LN_OPERATORS_PAGE_H

#include <string.h>

#include "onnx/onnx.h"

static inline void put_const_inputs(ln__buffer *out, uint32_t bits)
{
    const char *before = "";

    for (int i = 0; i < 32; i++)
        if (bits >> i & 1) {
            ln__buffer_printf(out, "%s%d", before, i);
            before = ", ";
        }
}

static inline void put_operators_page(ln__buffer *out)
{
    const ln__onnx_operator *o;
    size_t kinds = 0;

    for (size_t i = 0; (o = ln__onnx_operator_at(i)) != NULL; i++)
        kinds += i == 0 || strcmp(o->name, ln__onnx_operator_at(i - 1)->name) != 0;
    ln__buffer_printf(out,
        "# Operators\n\n"
        "<!-- Made from the table in lib/onnx/op_table.c by `make docs`; do not edit. -->\n\n"
        "%zu operators of the default domain (`ai.onnx`), opsets 6 to 25. An operator, opset or attribute that is not\n"
        "listed is refused when a model is loaded, with a message that names file, node and operator; so are control flow\n"
        "(If, Loop, Scan), sparse and string tensors, and operators of other domains.\n\n"
        "float16, bfloat16 and float64 are computed as float32; whole numbers and bool as int64, which is meant for shape\n"
        "arithmetic. *Known* lists the inputs (from 0) whose contents must be known before the network runs: initializers,\n"
        "Constant nodes, or what can be computed from them and from shapes. The weights of Conv and BatchNormalization are\n"
        "among them.\n\n"
        "| operator | opsets | known | meaning |\n|---|---|---|---|\n", kinds);
    for (size_t i = 0; (o = ln__onnx_operator_at(i)) != NULL; i++) {
        if (o->first == o->last)
            ln__buffer_printf(out, "| %s | %d | ", o->name, (int)o->first);
        else
            ln__buffer_printf(out, "| %s | %d-%d | ", o->name, (int)o->first, (int)o->last);
        put_const_inputs(out, o->const_inputs);
        ln__buffer_printf(out, " | %s |\n", o->meaning);
    }
}

#endif
