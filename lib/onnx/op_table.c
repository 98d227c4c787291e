/* op_table.c - every operator that is read: opsets, reader, meaning. docs/operators.md
 * is this table. */
#include "onnx/build.h"

#include <string.h>

enum { NOW = 25, ANY = -1 };
#define IN(i) (1u << (i))

static const ln__row rows[] = {
    /* Windows over pictures */
    { { "Conv", 6, NOW, LN__CONV, "convolution over 1 to 3 dimensions; groups, dilations, pads, auto_pad; weights known when shapes are", IN(1) | IN(2) }, ln__read_conv, 0, 2, 3 },
    { { "MaxPool", 6, 7, LN__POOL, "largest of each window", 0 }, ln__read_pool, 0, 1, 1 },
    { { "MaxPool", 8, NOW, LN__POOL, "largest of each window; ceil_mode and dilations from 10; the indices must not be used", 0 }, ln__read_pool, 0, 1, 1 },
    { { "AveragePool", 6, NOW, LN__POOL, "mean of each window; count_include_pad from 7, ceil_mode from 10, dilations from 19", 0 }, ln__read_pool, 1, 1, 1 },
    { { "GlobalMaxPool", 6, NOW, LN__POOL, "largest of each channel", 0 }, ln__read_global_pool, 0, 1, 1 },
    { { "GlobalAveragePool", 6, NOW, LN__POOL, "mean of each channel", 0 }, ln__read_global_pool, 1, 1, 1 },
    { { "LRN", 6, NOW, LN__LRN, "local response normalisation across channels", 0 }, ln__read_lrn, 0, 1, 1 },
    { { "Upsample", 7, 8, LN__RESIZE, "nearest or linear, by the scales attribute", 0 }, ln__read_upsample, 0, 1, 1 },
    { { "Upsample", 9, 9, LN__RESIZE, "nearest or linear, by the scales input", IN(1) }, ln__read_upsample, 0, 2, 2 },
    { { "Resize", 10, 10, LN__RESIZE, "nearest or linear, by scales", IN(1) }, ln__read_upsample, 0, 2, 2 },
    { { "Resize", 11, NOW, LN__RESIZE, "nearest, linear or cubic, by scales or sizes; antialias, axes and keep_aspect_ratio_policy from 18", IN(1) | IN(2) | IN(3) }, ln__read_resize, 0, 1, 4 },
    { { "DepthToSpace", 6, NOW, LN__DEPTH_TO_SPACE, "channels into blocks of pixels; mode (DCR, CRD) from 11", 0 }, ln__read_depth_space, LN__DEPTH_TO_SPACE, 1, 1 },
    { { "SpaceToDepth", 6, NOW, LN__SPACE_TO_DEPTH, "blocks of pixels into channels", 0 }, ln__read_depth_space, LN__SPACE_TO_DEPTH, 1, 1 },

    /* Element by element */
    { { "Relu", 6, NOW, LN__UNARY, "max(x, 0)", 0 }, ln__read_unary, LN__RELU, 1, 1 },
    { { "LeakyRelu", 6, NOW, LN__UNARY, "x, or alpha x below 0", 0 }, ln__read_unary, LN__LEAKY_RELU, 1, 1 },
    { { "PRelu", 6, 6, LN__BINARY, "x, or slope x below 0; a slope for all or one a channel", 0 }, ln__read_prelu, 0, 2, 2 },
    { { "PRelu", 7, NOW, LN__BINARY, "x, or slope x below 0; slopes broadcast to x", 0 }, ln__read_prelu, 0, 2, 2 },
    { { "Elu", 6, NOW, LN__UNARY, "x, or alpha (exp(x) - 1) below 0", 0 }, ln__read_unary, LN__ELU, 1, 1 },
    { { "Clip", 6, 10, LN__UNARY, "between the attributes min and max", 0 }, ln__read_clip, 0, 1, 1 },
    { { "Clip", 11, NOW, LN__UNARY, "between the inputs min and max", 0 }, ln__read_clip, 0, 1, 3 },
    { { "Sigmoid", 6, NOW, LN__UNARY, "1 / (1 + exp(-x))", 0 }, ln__read_unary, LN__SIGMOID, 1, 1 },
    { { "HardSigmoid", 6, NOW, LN__UNARY, "alpha x + beta, between 0 and 1", 0 }, ln__read_unary, LN__HARD_SIGMOID, 1, 1 },
    { { "HardSwish", 14, NOW, LN__UNARY, "x (x / 6 + 1/2 between 0 and 1)", 0 }, ln__read_unary, LN__HARD_SWISH, 1, 1 },
    { { "Swish", 24, NOW, LN__UNARY, "x sigmoid(x); alpha 1 only", 0 }, ln__read_unary, LN__SWISH, 1, 1 },
    { { "Gelu", 20, NOW, LN__UNARY, "x times the normal distribution function; approximate none or tanh", 0 }, ln__read_gelu, 0, 1, 1 },
    { { "Tanh", 6, NOW, LN__UNARY, "hyperbolic tangent", 0 }, ln__read_unary, LN__TANH, 1, 1 },
    { { "Erf", 9, NOW, LN__UNARY, "error function", 0 }, ln__read_unary, LN__ERF, 1, 1 },
    { { "Softplus", 6, NOW, LN__UNARY, "log(1 + exp(x))", 0 }, ln__read_unary, LN__SOFTPLUS, 1, 1 },
    { { "Sqrt", 6, NOW, LN__UNARY, "square root", 0 }, ln__read_unary, LN__SQRT, 1, 1 },
    { { "Exp", 6, NOW, LN__UNARY, "exponential", 0 }, ln__read_unary, LN__EXP, 1, 1 },
    { { "Log", 6, NOW, LN__UNARY, "natural logarithm", 0 }, ln__read_unary, LN__LOG, 1, 1 },
    { { "Abs", 6, NOW, LN__UNARY, "absolute value", 0 }, ln__read_unary, LN__ABS, 1, 1 },
    { { "Neg", 6, NOW, LN__UNARY, "-x", 0 }, ln__read_unary, LN__NEG, 1, 1 },
    { { "Reciprocal", 6, NOW, LN__UNARY, "1 / x", 0 }, ln__read_unary, LN__RECIPROCAL, 1, 1 },
    { { "Floor", 6, NOW, LN__UNARY, "rounded down", 0 }, ln__read_unary, LN__FLOOR, 1, 1 },
    { { "Ceil", 6, NOW, LN__UNARY, "rounded up", 0 }, ln__read_unary, LN__CEIL, 1, 1 },
    { { "Add", 6, 6, LN__BINARY, "a + b, b placed by broadcast and axis", 0 }, ln__read_binary, LN__ADD, 2, 2 },
    { { "Add", 7, NOW, LN__BINARY, "a + b, broadcast as numpy does", 0 }, ln__read_binary, LN__ADD, 2, 2 },
    { { "Sub", 6, 6, LN__BINARY, "a - b, b placed by broadcast and axis", 0 }, ln__read_binary, LN__SUB, 2, 2 },
    { { "Sub", 7, NOW, LN__BINARY, "a - b, broadcast as numpy does", 0 }, ln__read_binary, LN__SUB, 2, 2 },
    { { "Mul", 6, 6, LN__BINARY, "a b, b placed by broadcast and axis", 0 }, ln__read_binary, LN__MUL, 2, 2 },
    { { "Mul", 7, NOW, LN__BINARY, "a b, broadcast as numpy does", 0 }, ln__read_binary, LN__MUL, 2, 2 },
    { { "Div", 6, 6, LN__BINARY, "a / b, b placed by broadcast and axis", 0 }, ln__read_binary, LN__DIV, 2, 2 },
    { { "Div", 7, NOW, LN__BINARY, "a / b, broadcast as numpy does", 0 }, ln__read_binary, LN__DIV, 2, 2 },
    { { "Pow", 6, 6, LN__BINARY, "a to the power of b, b placed by broadcast and axis", 0 }, ln__read_binary, LN__POW, 2, 2 },
    { { "Pow", 7, NOW, LN__BINARY, "a to the power of b, broadcast as numpy does", 0 }, ln__read_binary, LN__POW, 2, 2 },
    { { "Sum", 6, NOW, LN__BINARY, "sum of any number of tensors", 0 }, ln__read_variadic, LN__ADD, 1, ANY },
    { { "Mean", 6, NOW, LN__BINARY, "mean of any number of tensors", 0 }, ln__read_variadic, -1, 1, ANY },
    { { "Max", 6, NOW, LN__BINARY, "largest of any number of tensors", 0 }, ln__read_variadic, LN__MAX_OF, 1, ANY },
    { { "Min", 6, NOW, LN__BINARY, "smallest of any number of tensors", 0 }, ln__read_variadic, LN__MIN_OF, 1, ANY },
    { { "Cast", 6, NOW, LN__CAST, "between float types (one here) and whole numbers or bool", 0 }, ln__read_cast, 0, 1, 1 },
    { { "Dropout", 6, 11, LN__IDENTITY, "x, as in inference; the mask must not be used", 0 }, ln__read_dropout, 0, 1, 1 },
    { { "Dropout", 12, NOW, LN__IDENTITY, "x, as in inference (training_mode false); the mask must not be used", IN(2) }, ln__read_dropout, 0, 1, 3 },
    { { "Identity", 6, NOW, LN__IDENTITY, "x", 0 }, ln__read_identity, 0, 1, 1 },

    /* Products, normalisation, reduction */
    { { "MatMul", 6, NOW, LN__MATMUL, "matrix product as numpy's matmul", 0 }, ln__read_matmul, 0, 2, 2 },
    { { "Gemm", 6, 10, LN__MATMUL, "alpha A B + beta C; transA, transB", 0 }, ln__read_gemm, 0, 3, 3 },
    { { "Gemm", 11, NOW, LN__MATMUL, "alpha A B + beta C, C may be absent; transA, transB", 0 }, ln__read_gemm, 0, 2, 3 },
    { { "BatchNormalization", 6, 8, LN__BATCHNORM, "by stored statistics; spatial 1 only (opset 6: is_test 1)", IN(1) | IN(2) | IN(3) | IN(4) }, ln__read_batchnorm, 0, 5, 5 },
    { { "BatchNormalization", 9, NOW, LN__BATCHNORM, "by stored statistics; not in training mode", IN(1) | IN(2) | IN(3) | IN(4) }, ln__read_batchnorm, 0, 5, 5 },
    { { "InstanceNormalization", 6, NOW, LN__NORM, "over the pixels of each channel", 0 }, ln__read_instance_norm, 0, 3, 3 },
    { { "LayerNormalization", 17, NOW, LN__NORM, "over the dimensions from axis on", 0 }, ln__read_layer_norm, 0, 2, 3 },
    { { "GroupNormalization", 18, 20, LN__NORM, "over groups of channels; scale and bias one a group", 0 }, ln__read_group_norm, 1, 3, 3 },
    { { "GroupNormalization", 21, NOW, LN__NORM, "over groups of channels; scale and bias one a channel", 0 }, ln__read_group_norm, 0, 3, 3 },
    { { "ReduceMean", 6, 17, LN__REDUCE, "mean over the axes attribute", 0 }, ln__read_reduce, LN__MEAN, 1, 1 },
    { { "ReduceMean", 18, NOW, LN__REDUCE, "mean over the axes input", IN(1) }, ln__read_reduce, LN__MEAN, 1, 2 },
    { { "ReduceSum", 6, 12, LN__REDUCE, "sum over the axes attribute", 0 }, ln__read_reduce, LN__SUM, 1, 1 },
    { { "ReduceSum", 13, NOW, LN__REDUCE, "sum over the axes input", IN(1) }, ln__read_reduce, LN__SUM, 1, 2 },
    { { "ReduceMax", 6, 17, LN__REDUCE, "largest over the axes attribute", 0 }, ln__read_reduce, LN__MAX, 1, 1 },
    { { "ReduceMax", 18, NOW, LN__REDUCE, "largest over the axes input", IN(1) }, ln__read_reduce, LN__MAX, 1, 2 },
    { { "ReduceMin", 6, 17, LN__REDUCE, "smallest over the axes attribute", 0 }, ln__read_reduce, LN__MIN, 1, 1 },
    { { "ReduceMin", 18, NOW, LN__REDUCE, "smallest over the axes input", IN(1) }, ln__read_reduce, LN__MIN, 1, 2 },
    { { "ReduceL1", 6, 17, LN__REDUCE, "sum of absolute values over the axes attribute", 0 }, ln__read_reduce, LN__L1, 1, 1 },
    { { "ReduceL1", 18, NOW, LN__REDUCE, "sum of absolute values over the axes input", IN(1) }, ln__read_reduce, LN__L1, 1, 2 },
    { { "ReduceL2", 6, 17, LN__REDUCE, "root of the sum of squares over the axes attribute", 0 }, ln__read_reduce, LN__L2, 1, 1 },
    { { "ReduceL2", 18, NOW, LN__REDUCE, "root of the sum of squares over the axes input", IN(1) }, ln__read_reduce, LN__L2, 1, 2 },
    { { "ReduceSumSquare", 6, 17, LN__REDUCE, "sum of squares over the axes attribute", 0 }, ln__read_reduce, LN__SUM_SQUARE, 1, 1 },
    { { "ReduceSumSquare", 18, NOW, LN__REDUCE, "sum of squares over the axes input", IN(1) }, ln__read_reduce, LN__SUM_SQUARE, 1, 2 },
    { { "ReduceProd", 6, 17, LN__REDUCE, "product over the axes attribute", 0 }, ln__read_reduce, LN__PROD, 1, 1 },
    { { "ReduceProd", 18, NOW, LN__REDUCE, "product over the axes input", IN(1) }, ln__read_reduce, LN__PROD, 1, 2 },
    { { "ReduceLogSum", 6, 17, LN__REDUCE, "log of the sum over the axes attribute", 0 }, ln__read_reduce, LN__LOG_SUM, 1, 1 },
    { { "ReduceLogSum", 18, NOW, LN__REDUCE, "log of the sum over the axes input", IN(1) }, ln__read_reduce, LN__LOG_SUM, 1, 2 },
    { { "ReduceLogSumExp", 6, 17, LN__REDUCE, "log of the sum of exponentials over the axes attribute", 0 }, ln__read_reduce, LN__LOG_SUM_EXP, 1, 1 },
    { { "ReduceLogSumExp", 18, NOW, LN__REDUCE, "log of the sum of exponentials over the axes input", IN(1) }, ln__read_reduce, LN__LOG_SUM_EXP, 1, 2 },
    { { "Softmax", 6, 12, LN__SOFTMAX, "over all dimensions from axis on, taken as one", 0 }, ln__read_softmax, 0, 1, 1 },
    { { "Softmax", 13, NOW, LN__SOFTMAX, "over one axis", 0 }, ln__read_softmax, 0, 1, 1 },
    { { "LogSoftmax", 6, 12, LN__SOFTMAX, "logarithm of Softmax over all dimensions from axis on", 0 }, ln__read_softmax, 1, 1, 1 },
    { { "LogSoftmax", 13, NOW, LN__SOFTMAX, "logarithm of Softmax over one axis", 0 }, ln__read_softmax, 1, 1, 1 },

    /* Moving numbers, shape arithmetic */
    { { "Reshape", 6, NOW, LN__RESHAPE, "to the shape input; allowzero from 14", IN(1) }, ln__read_reshape, 0, 2, 2 },
    { { "Flatten", 6, NOW, LN__FLATTEN, "to two dimensions, parted at axis", 0 }, ln__read_flatten, 0, 1, 1 },
    { { "Squeeze", 6, 12, LN__SQUEEZE, "without the dimensions of 1 at the axes attribute", 0 }, ln__read_squeeze, LN__SQUEEZE, 1, 1 },
    { { "Squeeze", 13, NOW, LN__SQUEEZE, "without the dimensions of 1 at the axes input", IN(1) }, ln__read_squeeze, LN__SQUEEZE, 1, 2 },
    { { "Unsqueeze", 6, 12, LN__UNSQUEEZE, "with dimensions of 1 at the axes attribute", 0 }, ln__read_squeeze, LN__UNSQUEEZE, 1, 1 },
    { { "Unsqueeze", 13, NOW, LN__UNSQUEEZE, "with dimensions of 1 at the axes input", IN(1) }, ln__read_squeeze, LN__UNSQUEEZE, 2, 2 },
    { { "Expand", 8, NOW, LN__EXPAND, "broadcast to the shape input", IN(1) }, ln__read_expand, LN__EXPAND, 2, 2 },
    { { "Tile", 6, NOW, LN__TILE, "repeated along each dimension", IN(1) }, ln__read_expand, LN__TILE, 2, 2 },
    { { "Transpose", 6, NOW, LN__TRANSPOSE, "dimensions in another order", 0 }, ln__read_transpose, 0, 1, 1 },
    { { "Concat", 6, NOW, LN__CONCAT, "joined along an axis", 0 }, ln__read_axis, LN__CONCAT, 1, ANY },
    { { "Split", 6, 12, LN__SPLIT, "parted along an axis, by the split attribute or equally", 0 }, ln__read_split, 0, 1, 1 },
    { { "Split", 13, NOW, LN__SPLIT, "parted along an axis, by the split input or equally; num_outputs from 18", IN(1) }, ln__read_split, 0, 1, 2 },
    { { "Slice", 6, 9, LN__SLICE, "part of each axis by attributes", 0 }, ln__read_slice, 0, 1, 1 },
    { { "Slice", 10, NOW, LN__SLICE, "part of each axis by inputs, steps too", IN(1) | IN(2) | IN(3) | IN(4) }, ln__read_slice, 0, 3, 5 },
    { { "Gather", 6, NOW, LN__GATHER, "entries along an axis by index", IN(1) }, ln__read_axis, LN__GATHER, 2, 2 },
    { { "Pad", 6, 10, LN__PAD, "constant, reflect or edge, by attributes", 0 }, ln__read_pad, 0, 1, 1 },
    { { "Pad", 11, 17, LN__PAD, "constant, reflect or edge, by inputs", IN(1) | IN(2) }, ln__read_pad, 0, 2, 3 },
    { { "Pad", 18, NOW, LN__PAD, "constant, reflect or edge, by inputs, for some axes; wrap from 19", IN(1) | IN(2) | IN(3) }, ln__read_pad, 0, 2, 4 },
    { { "Shape", 6, NOW, LN__SHAPE, "the dimensions; start and end from 15", 0 }, ln__read_shape, 0, 1, 1 },
    { { "Size", 6, NOW, LN__SHAPE, "the number of elements", 0 }, ln__read_size, 0, 1, 1 },
    { { "ConstantOfShape", 9, NOW, LN__CONSTANT_OF_SHAPE, "one value in every place of the shape input", IN(0) }, ln__read_fill, 0, 1, 1 },
    { { "Constant", 6, NOW, LN__IDENTITY, "a stored tensor, number or list of numbers (from 12)", 0 }, NULL, 0, 0, 0 },
};

const ln__onnx_operator *ln__onnx_operator_at(size_t i)
{
    return i < LN__COUNT(rows) ? &rows[i].about : NULL;
}

const ln__row *ln__row_find(const char *type, int64_t opset, bool *other_opset)
{
    for (size_t i = 0; i < LN__COUNT(rows); i++) {
        if (rows[i].read == NULL || strcmp(rows[i].about.name, type) != 0)
            continue;
        if (opset >= rows[i].about.first && opset <= rows[i].about.last)
            return &rows[i];
        *other_opset = true;
    }
    return NULL;
}
