// early.cpp - how accuracy and work change from one operating point to the next.
//
//     c++ -std=c++17 early.cpp $(pkg-config --cflags --libs leenet)
//     ./a.out early.onnx imagenette/val
#include <leenet/leenet.hpp>

#include <cstdio>
#include <numeric>

static void judge(const char *model_path, const char *source)
{
    leenet::Model model = leenet::Model::load(model_path);
    const leenet::Data data = leenet::Data::open(source);
    leenet::Session session(model);
    std::vector<std::uint32_t> points(model.point_count());
    ln_evaluate_options options = LN_EVALUATE_OPTIONS_INIT;

    std::iota(points.begin(), points.end(), 0u);
    options.points = points.empty() ? nullptr : points.data();
    options.n_points = points.size();
    for (const leenet::Evaluation &e : session.evaluate(data, options)) {
        std::printf("accuracy %.2f %% (plain %.2f %%), %.0f %% of the work; rows per exit:",
                    100.0 * e.totals.accuracy, 100.0 * e.totals.plain_accuracy, 100.0 * e.totals.macs_share);
        for (const ln_exit_share &exit : e.exits)
            std::printf(" %llu", static_cast<unsigned long long>(exit.rows));
        std::printf("\n");
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::fprintf(stderr, "usage: %s MODEL.onnx DATA\n", argv[0]);
        return 2;
    }
    try {
        judge(argv[1], argv[2]);
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
    return 0;
}
