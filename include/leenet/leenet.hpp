// leenet.hpp - owner types for C++17 on top of leenet.h; header only.
//
//   leenet::Model model = leenet::Model::load("early.onnx");
//   leenet::Session session(model);
//   ln_result answer = session.infer_image("cat.jpg");
//   std::cout << model.class_name(answer.label) << " at exit " << answer.exit << '\n';
//
// Model, Data, Session and Answers own one C object each: they move, do not copy, and
// free it. get() lends the handle to the C calls. What fails throws
// leenet::Error; what succeeds with something to know (ln_status above 0)
// returns it. A moved-from object may only be destroyed or assigned to.
// Nothing may be thrown through a C callback: Progress does that part.
#ifndef LEENET_LEENET_HPP
#define LEENET_LEENET_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <leenet/leenet.h>

namespace leenet {

class Error : public std::runtime_error {
public:
    explicit Error(const ln_error &error)
        : std::runtime_error(error.text), status_(error.status), detail_(error.detail) {}

    ln_status status() const noexcept { return status_; }
    std::int32_t detail() const noexcept { return detail_; }
    const char *name() const noexcept { return ln_status_name(status_); }

private:
    ln_status status_;
    std::int32_t detail_;
};

namespace detail {

// Calls with an ln_error and throws it on failure. A callback of the program
// may have thrown: `thrown` is then what it threw.
template <typename Call>
ln_status check(Call &&call, std::exception_ptr *thrown = nullptr)
{
    ln_error error = { LN_OK, 0, "" };
    const ln_status status = call(&error);

    if (thrown != nullptr && *thrown)
        std::rethrow_exception(*thrown);
    if (status < 0)
        throw Error(error);
    return status;
}

template <typename T, void (*release)(T *)>
struct Release {
    void operator()(T *object) const noexcept { release(object); }
};

} // namespace detail

// Returns true to go on, false to stop (the call then throws LN_E_CANCELLED).
using Progress = std::function<bool(const ln_progress &)>;

namespace detail {

// A Progress as the C callback and its payload.
struct Watch {
    const Progress &progress;
    std::exception_ptr thrown;

    explicit Watch(const Progress &p) : progress(p), thrown() {}

    template <typename Options>
    void put_into(Options &options)
    {
        if (!progress)
            return;
        options.progress = &Watch::call;
        options.progress_payload = this;
    }

    static int call(const ln_progress *progress, void *payload)
    {
        Watch &self = *static_cast<Watch *>(payload);
        try {
            return self.progress(*progress) ? 0 : 1;
        } catch (...) {
            self.thrown = std::current_exception();
            return 1;
        }
    }
};

} // namespace detail

inline std::string version() { return ln_lib_version(); }
inline std::string backend() { return ln_lib_backend(); }

// LN_POLICY_* by its name, "max-prob".
inline std::int32_t policy(const char *name)
{
    std::int32_t found = 0;
    detail::check([&](ln_error *e) { return ln_policy_find(&found, name, e); });
    return found;
}

inline ln_preprocess preprocess_preset(const char *name)
{
    ln_preprocess p = LN_PREPROCESS_INIT;
    detail::check([&](ln_error *e) { return ln_preprocess_preset(&p, name, e); });
    return p;
}

// ---- Data ---------------------------------------------------------------------

class Data {
public:
    // Takes over the handle.
    explicit Data(ln_data *handle) noexcept : handle_(handle) {}

    static Data open(const std::string &source, const ln_data_options *options = nullptr)
    {
        ln_data *data = nullptr;
        detail::check([&](ln_error *e) { return ln_data_open(&data, source.c_str(), options, e); });
        return Data(data);
    }

    // The arrays must outlive the data set.
    static Data from_arrays(const ln_arrays &arrays, const ln_data_options *options = nullptr)
    {
        ln_data *data = nullptr;
        detail::check([&](ln_error *e) { return ln_data_from_arrays(&data, &arrays, options, e); });
        return Data(data);
    }

    // rows.read must not throw.
    static Data from_callback(const ln_rows &rows, const ln_data_options *options = nullptr)
    {
        ln_data *data = nullptr;
        detail::check([&](ln_error *e) { return ln_data_from_callback(&data, &rows, options, e); });
        return Data(data);
    }

    ln_data *get() const noexcept { return handle_.get(); }

    std::size_t rows() const noexcept { return ln_data_rows(get()); }
    std::uint32_t class_count() const noexcept { return ln_data_class_count(get()); }
    std::string class_name(std::uint32_t i) const { return ln_data_class_name(get(), i); }
    std::string row_name(std::size_t row) const { return ln_data_row_name(get(), row); }

    // Rows that `other` holds as well; *first (may be nullptr): the first of them.
    std::size_t common(const Data &other, std::size_t *first = nullptr) const
    {
        std::size_t count = 0;
        detail::check([&](ln_error *e) { return ln_data_common(get(), other.get(), &count, first, e); });
        return count;
    }

    // Pictures left out so far because of skip_bad, as "file: reason".
    std::vector<std::string> skipped() const
    {
        std::vector<std::string> all;
        for (std::size_t i = 0; const char *text = ln_data_skipped(get(), i); i++)
            all.emplace_back(text);
        return all;
    }

private:
    std::unique_ptr<ln_data, detail::Release<ln_data, ln_data_free>> handle_;
};

// ---- Model --------------------------------------------------------------------

class Model {
public:
    // Takes over the handle.
    explicit Model(ln_model *handle) noexcept : handle_(handle) {}

    static Model load(const std::string &path, const ln_load_options *options = nullptr)
    {
        ln_model *model = nullptr;
        detail::check([&](ln_error *e) { return ln_model_load(&model, path.c_str(), options, e); });
        return Model(model);
    }

    static Model load_memory(const void *bytes, std::size_t size, const ln_load_options *options = nullptr)
    {
        ln_model *model = nullptr;
        detail::check([&](ln_error *e) { return ln_model_load_memory(&model, bytes, size, options, e); });
        return Model(model);
    }

    void save(const std::string &path) const
    {
        detail::check([&](ln_error *e) { return ln_model_save(get(), path.c_str(), e); });
    }

    ln_model *get() const noexcept { return handle_.get(); }

    // Its texts belong to the model.
    ln_model_info info() const
    {
        ln_model_info i = LN_MODEL_INFO_INIT;
        detail::check([&](ln_error *e) { return ln_model_get_info(get(), &i, e); });
        return i;
    }

    std::uint32_t exit_count() const noexcept { return ln_model_exit_count(get()); }
    std::uint32_t point_count() const noexcept { return ln_model_point_count(get()); }
    std::uint32_t class_count() const noexcept { return ln_model_class_count(get()); }
    std::string class_name(std::int32_t label) const { return ln_model_class_name(get(), label); }

    // Kinds of operators with the number of nodes of each.
    std::vector<std::pair<std::string, std::uint32_t>> operators() const
    {
        std::vector<std::pair<std::string, std::uint32_t>> all;
        std::uint32_t count = 0;
        for (std::uint32_t i = 0; const char *name = ln_model_operator(get(), i, &count); i++)
            all.emplace_back(name, count);
        return all;
    }

    ln_preprocess preprocess() const
    {
        ln_preprocess p = LN_PREPROCESS_INIT;
        detail::check([&](ln_error *e) { return ln_model_get_preprocess(get(), &p, e); });
        return p;
    }

    void set_preprocess(const ln_preprocess &p)
    {
        detail::check([&](ln_error *e) { return ln_model_set_preprocess(get(), &p, e); });
    }

    // The last linear layer is replaced where the number of names asks for it.
    void set_classes(const std::vector<std::string> &names)
    {
        const std::vector<const char *> texts = pointers(names);
        detail::check([&](ln_error *e) { return ln_model_set_classes(get(), texts.data(), nullptr, texts.size(), e); });
    }

    // Answer i is the network's class network_classes[i].
    void set_classes(const std::vector<std::string> &names, const std::vector<std::uint32_t> &network_classes)
    {
        if (names.size() != network_classes.size())
            throw std::invalid_argument("as many names as network classes are needed");
        const std::vector<const char *> texts = pointers(names);
        detail::check([&](ln_error *e) {
            return ln_model_set_classes(get(), texts.data(), network_classes.data(), texts.size(), e);
        });
    }

    std::vector<ln_exit_candidate> exit_candidates() const
    {
        std::size_t count = 0;
        detail::check([&](ln_error *e) { return ln_exit_candidates(get(), nullptr, 0, &count, e); });
        std::vector<ln_exit_candidate> all(count);
        detail::check([&](ln_error *e) { return ln_exit_candidates(get(), all.data(), all.size(), &count, e); });
        return all;
    }

    void add_exit(const std::string &value, const ln_exit_options *options = nullptr)
    {
        detail::check([&](ln_error *e) { return ln_exit_add(get(), value.c_str(), options, e); });
    }

    void add_exits(std::uint32_t count, const ln_exit_options *options = nullptr)
    {
        detail::check([&](ln_error *e) { return ln_exit_add_auto(get(), count, options, e); });
    }

    // Exits where they do most; what was found at every candidate. A progress given here takes the place of the
    // one in the options.
    std::vector<ln_place> place_exits(const Data &rows, ln_place_options options = LN_PLACE_OPTIONS_INIT,
                                      const Progress &progress = nullptr)
    {
        detail::Watch watch(progress);
        watch.put_into(options);
        std::vector<ln_place> places(63);
        std::size_t count = 0;
        detail::check([&](ln_error *e) {
            return ln_exit_place(get(), rows.get(), &options, places.data(), places.size(), &count, e);
        }, &watch.thrown);
        places.resize(count);
        return places;
    }

    void clear_exits()
    {
        detail::check([&](ln_error *e) { return ln_exit_clear(get(), e); });
    }

    ln_exit_info exit_info(std::uint32_t exit) const
    {
        ln_exit_info i = LN_EXIT_INFO_INIT;
        detail::check([&](ln_error *e) { return ln_exit_get_info(get(), exit, &i, e); });
        return i;
    }

    // A progress given here takes the place of the one in the options.
    ln_status train_exits(const Data &rows, ln_train_options options = LN_TRAIN_OPTIONS_INIT,
                          const Progress &progress = nullptr)
    {
        detail::Watch watch(progress);
        watch.put_into(options);
        return detail::check([&](ln_error *e) { return ln_exit_train(get(), rows.get(), &options, e); },
                             &watch.thrown);
    }

    ln_status train_gates(const Data &rows, const std::vector<double> &alphas,
                          ln_gate_options options = LN_GATE_OPTIONS_INIT, const Progress &progress = nullptr)
    {
        detail::Watch watch(progress);
        watch.put_into(options);
        if (!alphas.empty()) {
            options.alphas = alphas.data();
            options.n_alphas = alphas.size();
        }
        return detail::check([&](ln_error *e) { return ln_gate_train(get(), rows.get(), &options, e); },
                             &watch.thrown);
    }

    // All policies that can be trained beside gates if none is given.
    ln_status train_policies(const Data &rows, const std::vector<std::int32_t> &policies = {},
                             ln_policy_options options = LN_POLICY_OPTIONS_INIT, const Progress &progress = nullptr)
    {
        detail::Watch watch(progress);
        watch.put_into(options);
        if (!policies.empty()) {
            options.policies = policies.data();
            options.n_policies = policies.size();
        }
        return detail::check([&](ln_error *e) { return ln_policy_train(get(), rows.get(), &options, e); },
                             &watch.thrown);
    }

    ln_point_info point_info(std::uint32_t point) const
    {
        ln_point_info i = LN_POINT_INFO_INIT;
        detail::check([&](ln_error *e) { return ln_point_get_info(get(), point, &i, e); });
        return i;
    }

    double threshold(std::uint32_t point, std::uint32_t exit) const noexcept { return ln_point_threshold(get(), point, exit); }

    void set_default_point(std::uint32_t point)
    {
        detail::check([&](ln_error *e) { return ln_point_set_default(get(), point, e); });
    }

    void tune(ln_tune_options options = LN_TUNE_OPTIONS_INIT, const Progress &progress = nullptr)
    {
        detail::Watch watch(progress);
        watch.put_into(options);
        detail::check([&](ln_error *e) { return ln_model_tune(get(), &options, e); }, &watch.thrown);
    }

    std::uint32_t setting_count(std::int32_t policy) const noexcept { return ln_setting_count(get(), policy); }

    ln_setting setting(std::int32_t policy, std::uint32_t index) const
    {
        ln_setting s = LN_SETTING_INIT;
        detail::check([&](ln_error *e) { return ln_setting_get(get(), policy, index, &s, e); });
        return s;
    }

    // The new operating point's number.
    std::uint32_t add_setting_point(std::int32_t policy, std::uint32_t index)
    {
        std::uint32_t point = 0;
        detail::check([&](ln_error *e) { return ln_point_add_setting(get(), policy, index, &point, e); });
        return point;
    }

    // LN_SKIPPED if pictures were left out.
    ln_status calibrate(const Data &rows, ln_calibrate_options options = LN_CALIBRATE_OPTIONS_INIT,
                        const Progress &progress = nullptr)
    {
        detail::Watch watch(progress);
        watch.put_into(options);
        return detail::check([&](ln_error *e) { return ln_policy_calibrate(get(), rows.get(), &options, e); },
                             &watch.thrown);
    }

    // `status` tells of LN_UNCERTIFIED, `rows_needed` how many calibration rows would do; either may be nullptr.
    ln_setting resolve(const ln_target &target, ln_status *status = nullptr, std::uint64_t *rows_needed = nullptr) const
    {
        ln_setting s = LN_SETTING_INIT;
        const ln_status st = detail::check([&](ln_error *e) {
            return ln_target_resolve(get(), &target, &s, rows_needed, e);
        });
        if (status != nullptr)
            *status = st;
        return s;
    }

    // Sessions use it unless told otherwise; nullptr: none, the default point again.
    void set_default_target(const ln_target *target)
    {
        detail::check([&](ln_error *e) { return ln_target_set_default(get(), target, e); });
    }
    // Throws if the model has none.
    ln_target default_target() const
    {
        ln_target t = LN_TARGET_INIT;
        detail::check([&](ln_error *e) { return ln_target_get_default(get(), &t, e); });
        return t;
    }

    // Rows as this model wants them: inputs [count][C][H][W], labels [count] or nullptr.
    ln_status read(const Data &data, std::size_t first, std::size_t count, float *inputs,
                   std::int32_t *labels = nullptr) const
    {
        return detail::check([&](ln_error *e) {
            return ln_data_read(data.get(), get(), first, count, inputs, labels, e);
        });
    }

private:
    static std::vector<const char *> pointers(const std::vector<std::string> &names)
    {
        std::vector<const char *> texts;
        for (const std::string &name : names)
            texts.push_back(name.c_str());
        return texts;
    }

    std::unique_ptr<ln_model, detail::Release<ln_model, ln_model_free>> handle_;
};

// ---- Session ------------------------------------------------------------------

// What a session has answered so far.
struct Counters {
    ln_counters totals = LN_COUNTERS_INIT;      // its `exits` is not to be used
    std::vector<ln_exit_count> exits;           // E+1
};

class Session;

// One row, exit by exit; the session answers nothing else while this lives. The
// session and the input outlive it.
class Steps {
public:
    inline Steps(Session &session, const float *input);
    ~Steps() { ln_steps_end(session_); }
    Steps(const Steps &) = delete;
    Steps &operator=(const Steps &) = delete;

    // Throws LN_E_STATE past the network's end.
    ln_step next()
    {
        ln_step step = LN_STEP_INIT;
        detail::check([&](ln_error *e) { return ln_steps_next(session_, &step, e); });
        return step;
    }

private:
    ln_session *session_;
};

// What evaluate() found for one operating point.
struct Evaluation {
    ln_evaluation totals = LN_EVALUATION_INIT;  // its `exits` is not to be used
    std::vector<ln_exit_share> exits;           // E+1
};

class Session {
public:
    // Takes over the handle of a session on a model of `exits` exits.
    Session(ln_session *handle, std::uint32_t exits) noexcept : handle_(handle), exits_(exits) {}

    // The session keeps the model alive; the Model may go before it. *status (may be nullptr):
    // LN_UNCERTIFIED where the target is not, and no row leaves early.
    explicit Session(const Model &model, const ln_session_options *options = nullptr, ln_status *status = nullptr)
        : exits_(model.exit_count())
    {
        ln_session *session = nullptr;
        ln_status st = detail::check([&](ln_error *e) { return ln_session_open(&session, model.get(), options, e); });
        handle_.reset(session);
        if (status)
            *status = st;
    }

    ln_session *get() const noexcept { return handle_.get(); }

    void set_point(std::uint32_t point)
    {
        detail::check([&](ln_error *e) { return ln_session_set_point(get(), point, e); });
    }

    // LN_UNCERTIFIED: no row leaves early.
    ln_status set_target(const ln_target &target)
    {
        return detail::check([&](ln_error *e) { return ln_session_set_target(get(), &target, e); });
    }

    void set_setting(std::int32_t policy, std::uint32_t index)
    {
        detail::check([&](ln_error *e) { return ln_session_set_setting(get(), policy, index, e); });
    }

    ln_setting setting() const
    {
        ln_setting s = LN_SETTING_INIT;
        detail::check([&](ln_error *e) { return ln_session_get_setting(get(), &s, e); });
        return s;
    }

    // n rows of input [n][C][H][W] into results [n], logits [n][classes] or nullptr.
    ln_status infer(const float *input, std::size_t n, ln_result *results, float *logits = nullptr)
    {
        return detail::check([&](ln_error *e) { return ln_infer_early(get(), input, n, results, logits, e); });
    }

    // LN_DEADLINE if a row was stopped that its gate would have let go on.
    ln_status infer_deadline(const float *input, std::size_t n, double deadline_ms, ln_result *results,
                             float *logits = nullptr)
    {
        return detail::check([&](ln_error *e) {
            return ln_infer_deadline(get(), input, n, deadline_ms, results, logits, e);
        });
    }

    Counters counters() const
    {
        Counters found;
        found.exits.resize(exits_ + std::size_t{ 1 });
        found.totals.exits = found.exits.data();
        detail::check([&](ln_error *e) { return ln_session_get_counters(get(), &found.totals, e); });
        found.totals.exits = nullptr;
        return found;
    }

    void reset_counters() noexcept { ln_session_reset_counters(get()); }

    double drift() const
    {
        double p = 1;
        detail::check([&](ln_error *e) { return ln_session_drift(get(), &p, e); });
        return p;
    }

    ln_status infer_full(const float *input, std::size_t n, ln_result *results, float *logits = nullptr)
    {
        return detail::check([&](ln_error *e) { return ln_infer_full(get(), input, n, results, logits, e); });
    }

    ln_result infer_image(const std::string &path, float *logits = nullptr)
    {
        ln_image image = LN_IMAGE_INIT;
        image.path = path.c_str();
        return infer_image(image, logits);
    }

    ln_result infer_image(const ln_image &image, float *logits = nullptr)
    {
        ln_result result = {};
        detail::check([&](ln_error *e) { return ln_infer_image(get(), &image, &result, logits, e); });
        return result;
    }

    // Per stage 0..E, for `rows` rows.
    std::vector<ln_stage_time> measure(const float *input, std::size_t rows, std::uint32_t repeats)
    {
        std::vector<ln_stage_time> times(exits_ + std::size_t{ 1 });
        detail::check([&](ln_error *e) { return ln_session_measure(get(), input, rows, repeats, times.data(), e); });
        return times;
    }

    // One Evaluation per point of the options; status, if asked for, tells of LN_SKIPPED.
    std::vector<Evaluation> evaluate(const Data &data, ln_evaluate_options options = LN_EVALUATE_OPTIONS_INIT,
                                     const Progress &progress = nullptr, ln_status *status = nullptr)
    {
        const bool one = options.plain_only != 0 || options.points == nullptr;
        std::vector<Evaluation> found(one ? 1 : options.n_points);
        std::vector<ln_evaluation> totals;
        detail::Watch watch(progress);

        watch.put_into(options);
        for (Evaluation &f : found) {
            f.exits.resize(exits_ + std::size_t{ 1 });
            totals.push_back(f.totals);
            totals.back().exits = f.exits.data();
        }
        const ln_status st = detail::check([&](ln_error *e) {
            return ln_evaluate(get(), data.get(), &options, totals.data(), e);
        }, &watch.thrown);
        for (std::size_t i = 0; i < found.size(); i++) {
            found[i].totals = totals[i];
            found[i].totals.exits = nullptr;
        }
        if (status != nullptr)
            *status = st;
        return found;
    }

private:
    std::unique_ptr<ln_session, detail::Release<ln_session, ln_session_free>> handle_;
    std::uint32_t exits_ = 0;
};

// ---- Answers ------------------------------------------------------------------

class Answers {
public:
    // Takes over the handle of answers of a model with `exits` exits.
    Answers(ln_answers *handle, std::uint32_t exits) noexcept : handle_(handle), exits_(exits) {}

    // Keeps the model alive and frozen. A progress given here takes the place of the one in the options. *status (may be
    // nullptr): LN_SKIPPED where pictures were left out.
    static Answers collect(const Model &model, const Data &data, ln_answers_options options = LN_ANSWERS_OPTIONS_INIT,
                           const Progress &progress = nullptr, ln_status *status = nullptr)
    {
        ln_answers *answers = nullptr;
        detail::Watch watch(progress);
        watch.put_into(options);
        ln_status st = detail::check(
            [&](ln_error *e) { return ln_answers_collect(&answers, model.get(), data.get(), &options, e); }, &watch.thrown);
        if (status)
            *status = st;
        return Answers(answers, model.exit_count());
    }

    ln_answers *get() const noexcept { return handle_.get(); }

    std::size_t rows() const noexcept { return ln_answers_rows(get()); }
    std::int32_t label(std::size_t row) const noexcept { return ln_answers_label(get(), row); }
    std::size_t data_row(std::size_t row) const noexcept { return ln_answers_data_row(get(), row); }
    std::int32_t choice(std::uint32_t exit, std::size_t row, float *probability = nullptr) const noexcept
    {
        return ln_answers_choice(get(), exit, row, probability);
    }
    double time_share(std::uint32_t exit) const noexcept { return ln_answers_time_share(get(), exit); }
    // [rows][classes], nullptr if there is no such exit.
    const float *logits(std::uint32_t exit) const noexcept { return ln_answers_logits(get(), exit); }

    // What every row would have got at that operating point, or at that setting, into `results` if given.
    Evaluation replay_point(std::uint32_t point, std::vector<ln_result> *results = nullptr) const
    {
        return replayed(results, [&](ln_result *r, ln_evaluation *v, ln_error *e) {
            return ln_answers_replay_point(get(), point, r, v, e);
        });
    }
    Evaluation replay(std::int32_t policy, std::uint32_t setting, std::vector<ln_result> *results = nullptr) const
    {
        return replayed(results, [&](ln_result *r, ln_evaluation *v, ln_error *e) {
            return ln_answers_replay(get(), policy, setting, r, v, e);
        });
    }

private:
    template <typename Call> Evaluation replayed(std::vector<ln_result> *results, Call call) const
    {
        Evaluation found;
        found.exits.resize(exits_ + std::size_t{ 1 });
        found.totals.exits = found.exits.data();
        if (results != nullptr)
            results->resize(rows());
        detail::check([&](ln_error *e) { return call(results ? results->data() : nullptr, &found.totals, e); });
        found.totals.exits = nullptr;
        return found;
    }

    std::unique_ptr<ln_answers, detail::Release<ln_answers, ln_answers_free>> handle_;
    std::uint32_t exits_ = 0;
};

inline Steps::Steps(Session &session, const float *input) : session_(session.get())
{
    detail::check([&](ln_error *e) { return ln_steps_begin(session_, input, e); });
}

} // namespace leenet

#endif // LEENET_LEENET_HPP
