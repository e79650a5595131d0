#include "program.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>
#include <utility>

namespace rwkv {
namespace {

/**
 * Steps of few tokens prepare inputs on every thread anew, which is cheaper than waiting for each other and fetching what
 * another core wrote: up to this many rows over all threads, and always up to kPreparePerThread tokens.
 */
constexpr uint32_t kPreparedRows = 32;
constexpr uint32_t kPreparePerThread = 2;
/** No task is planned shorter than this many nanoseconds: taking one costs about a tenth of it. */
constexpr double kShortestTask = 1500;
/** Tasks of a thread's span: so many that a thread which lost its processor for a moment finds help. */
constexpr double kTasksPerThread = 8;
/** Steps of at most this many nanoseconds on one thread are left to it. */
constexpr double kAlone = 40e3;
constexpr size_t kPlans = 8;

using Clock = std::chrono::steady_clock;

uint32_t most_prepared_per_thread(unsigned threads) {
  return std::max(kPreparePerThread, kPreparedRows / threads);
}

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

}  // namespace

/** One step's stretches, for the pool. */
class CompiledProgram::StepRun final : public Stretches {
 public:
  StepRun(CompiledProgram& program, const Plan& plan, const Step& step, const std::atomic<bool>& stop)
      : program_(program), plan_(plan), step_(step), stop_(stop) {}

  const uint32_t* next() override {
    if (begun_ == plan_.stretches.size() || stop_.load(std::memory_order_relaxed)) return nullptr;
    stretch_ = &plan_.stretches[begun_++];
    return stretch_->spans.data();
  }
  void task(uint32_t task, unsigned thread) override {
    program_.run_task(plan_, *stretch_, stretch_->tasks[task], step_, program_.per_thread_[thread]);
  }

 private:
  CompiledProgram& program_;
  const Plan& plan_;
  const Step& step_;
  const std::atomic<bool>& stop_;
  const Stretch* stretch_ = nullptr;
  size_t begun_ = 0;
};

CompiledProgram::CompiledProgram(const Kernels& kernels, std::shared_ptr<WeightStore> weights,
                                 std::shared_ptr<StateStore> states)
    : kernels_(kernels), weights_(std::move(weights)), states_(std::move(states)), slots_(states_->slots()) {}

bool CompiledProgram::accepts(const Step& step, size_t embedding_floats, size_t output_floats) const {
  if (step.tokens > limits_.tokens || step.sequences > limits_.sequences || step.wanted > limits_.wanted) return false;
  const auto increasing = [&](const uint32_t* indices, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
      if (indices[i] >= step.tokens || (i > 0 && indices[i] <= indices[i - 1])) return false;
    }
    return true;
  };
  if (step.starts[0] != 0 || step.starts[step.sequences] != step.tokens) return false;
  for (uint32_t i = 0; i < step.sequences; i++) {
    if (step.starts[i + 1] <= step.starts[i] || step.slots[i] >= slots_) return false;
  }
  for (uint32_t i = 0; i < step.tokens; i++) {
    if (step.token_ids[i] >= vocabulary_) return false;
  }
  return increasing(step.wanted_rows, step.wanted) && increasing(step.embedding_at, step.embeddings) &&
         embedding_floats >= size_t{step.embeddings} * embedding_columns_ &&
         (!step.candidates || candidate_stride_ > 0) &&
         output_floats >= step.wanted * (step.candidates ? candidate_stride_ : output_stride_);
}

bool CompiledProgram::run(ThreadPool& pool, const Step& step, float* output, const std::atomic<bool>& stop) {
  const auto start = Clock::now();
  const Plan& plan = plan_for(step, pool.threads());
  if (!reserve(plan)) return false;
  float* rows = output;
  kept_ = 0;
  if (step.candidates) {
    const size_t bytes = step.wanted * output_stride_ * sizeof(float);
    if (kept_rows_.bytes() < bytes && !kept_rows_.allocate(bytes)) return false;
    rows = kept_rows_.floats();
    kept_ = step.wanted;
    for (const OutputPointer& pointer : candidate_pointers_) *pointer.field = output + pointer.offset;
  }
  for (const OutputPointer& pointer : output_pointers_) *pointer.field = rows + pointer.offset;
  step_count_++;
  StepRun work(*this, plan, step, stop);
  if (plan.alone) pool.run_alone(work);
  else pool.run(work);
  if (!profiling_) return true;
  for (PerThread& own : per_thread_) {
    for (size_t code = 0; code < kOpCodes; code++) profile_.operations[code] += own.profile.operations[code];
    profile_.prepare += own.profile.prepare;
    own.profile = {};
  }
  profile_.steps += milliseconds_since(start);
  profile_.step_count++;
  return true;
}

bool CompiledProgram::output_row(uint32_t row, float* out, size_t floats) const {
  if (row >= kept_ || floats < output_stride_) return false;
  memcpy(out, kept_rows_.floats() + row * output_stride_, output_stride_ * sizeof(float));
  return true;
}

void CompiledProgram::run_task(const Plan& plan, const Stretch& stretch, const Task& task, const Step& step,
                               PerThread& own) {
  const Operation& operation = *operations_[task.operation];
  uint8_t* prepared = plan.prepared_per_thread ? own.prepared.data() : shared_prepared_.data();
  if (prepared) prepared += plan.prepared_at[task.operation];
  const auto start = profiling_ ? Clock::now() : Clock::time_point();
  if (stretch.is_prepare) {
    operation.prepare(kernels_, step, task.units, prepared);
    if (profiling_) own.profile.prepare += milliseconds_since(start);
    return;
  }
  if (plan.prepared_per_thread && own.prepared_for[task.operation] != step_count_) {
    own.prepared_for[task.operation] = step_count_;
    const size_t units = operation.prepare_units(kernels_, step);
    if (units > 0) operation.prepare(kernels_, step, {0, units}, prepared);
  }
  operation.run(kernels_, step, task.units, prepared, own.scratch.data());
  if (profiling_) own.profile.operations[static_cast<size_t>(operation.code)] += milliseconds_since(start);
}

const CompiledProgram::Plan& CompiledProgram::plan_for(const Step& step, unsigned threads) {
  for (Plan& plan : plans_) {
    if (plan.tokens == step.tokens && plan.sequences == step.sequences && plan.wanted == step.wanted &&
        plan.candidates == step.candidates) {
      plan.used = step_count_ + 1;
      return plan;
    }
  }
  if (plans_.size() >= kPlans) {
    const auto oldest = std::min_element(plans_.begin(), plans_.end(),
                                         [](const Plan& a, const Plan& b) { return a.used < b.used; });
    plans_.erase(oldest);
  }
  Plan plan;
  make_plan(plan, step, threads);
  plan.used = step_count_ + 1;
  plans_.push_back(std::move(plan));
  return plans_.back();
}

void CompiledProgram::make_plan(Plan& plan, const Step& step, unsigned threads) const {
  plan.tokens = step.tokens;
  plan.sequences = step.sequences;
  plan.wanted = step.wanted;
  plan.candidates = step.candidates;
  plan.threads = threads;
  plan.prepared_per_thread = step.tokens <= most_prepared_per_thread(threads);
  plan.prepared_at.assign(operations_.size(), 0);
  double total = 0;
  for (const auto& operation : operations_) total += operation->cost(step);
  plan.alone = total <= kAlone;
  size_t index = 0;
  while (index < operations_.size()) {
    const uint32_t phase = operations_[index]->phase;
    std::vector<Task> whole, prepare;
    std::vector<double> costs, prepare_costs;
    size_t prepared_bytes = 0;
    for (; index < operations_.size() && operations_[index]->phase == phase; index++) {
      const Operation& operation = *operations_[index];
      const size_t units = operation.units(kernels_, step);
      if (units == 0) continue;
      whole.push_back({static_cast<uint32_t>(index), {0, units}});
      costs.push_back(operation.cost(step));
      const size_t bytes = operation.prepared_bytes(kernels_, step);
      if (bytes == 0) continue;
      plan.prepared_at[index] = prepared_bytes;
      prepared_bytes += aligned(bytes);
      prepare.push_back({static_cast<uint32_t>(index), {0, operation.prepare_units(kernels_, step)}});
      prepare_costs.push_back(static_cast<double>(bytes) / 4);
    }
    plan.prepared_bytes = std::max(plan.prepared_bytes, prepared_bytes);
    if (!prepare.empty() && !plan.prepared_per_thread) {
      Stretch stretch;
      stretch.is_prepare = true;
      cut(stretch, prepare, prepare_costs, threads);
      plan.stretches.push_back(std::move(stretch));
    }
    if (whole.empty()) continue;
    Stretch stretch;
    cut(stretch, whole, costs, threads);
    plan.stretches.push_back(std::move(stretch));
  }
}

void CompiledProgram::cut(Stretch& stretch, const std::vector<Task>& whole, const std::vector<double>& costs,
                          unsigned threads) const {
  double total = 0;
  for (const double cost : costs) total += cost;
  const double grain = std::max(kShortestTask, total / (threads * kTasksPerThread));
  std::vector<double> task_costs;
  for (size_t i = 0; i < whole.size(); i++) {
    const size_t units = whole[i].units.end;
    const double wanted = threads == 1 ? 1 : costs[i] / grain;
    const size_t tasks = std::min(units, std::max<size_t>(1, static_cast<size_t>(wanted)));
    for (size_t task = 0; task < tasks; task++) {
      stretch.tasks.push_back({whole[i].operation, part(units, task, tasks)});
      task_costs.push_back(costs[i] / static_cast<double>(tasks));
    }
  }
  // Span t ends where the costs before it reach t / threads of the whole.
  stretch.spans.assign(threads + 1, static_cast<uint32_t>(stretch.tasks.size()));
  stretch.spans[0] = 0;
  double sum = 0;
  unsigned thread = 1;
  for (size_t task = 0; task < stretch.tasks.size() && thread < threads; task++) {
    sum += task_costs[task];
    while (thread < threads && sum >= total * thread / threads * (1 - 1e-9)) {
      stretch.spans[thread++] = static_cast<uint32_t>(task + 1);
    }
  }
}

bool CompiledProgram::reserve(const Plan& plan) {
  if (per_thread_.size() < plan.threads) {
    // Kept only when all of it is there: allocating may fail, or throw, at each.
    std::vector<PerThread> per_thread(plan.threads);
    for (PerThread& own : per_thread) {
      own.prepared_for.assign(operations_.size(), 0);
      if (!own.scratch.allocate(kThreadScratch)) return false;
    }
    per_thread_ = std::move(per_thread);
  }
  if (plan.prepared_per_thread) {
    for (PerThread& own : per_thread_) {
      if (own.prepared.bytes() < plan.prepared_bytes && !own.prepared.allocate(plan.prepared_bytes)) return false;
    }
  } else if (shared_prepared_.bytes() < plan.prepared_bytes && !shared_prepared_.allocate(plan.prepared_bytes)) {
    return false;
  }
  return true;
}

size_t CompiledProgram::working_bytes(unsigned threads) const {
  Step largest;
  largest.tokens = limits_.tokens;
  largest.sequences = limits_.sequences;
  largest.wanted = limits_.wanted;
  Plan shared, own;
  make_plan(shared, largest, threads);
  largest.tokens = std::min(limits_.tokens, most_prepared_per_thread(threads));
  largest.sequences = std::min(limits_.sequences, largest.tokens);
  largest.wanted = std::min(limits_.wanted, largest.tokens);
  make_plan(own, largest, threads);
  const size_t kept = candidate_stride_ == 0 ? 0 : limits_.wanted * output_stride_ * sizeof(float);
  return kept + shared.prepared_bytes + threads * (kThreadScratch + own.prepared_bytes);
}

void CompiledProgram::set_profiling(bool on) {
  profiling_ = on;
  if (on) profile_ = {};
}

void CompiledProgram::release() {
  operations_.clear();
  output_pointers_.clear();
  candidate_pointers_.clear();
  kept_rows_.release();
  kept_ = 0;
  plans_.clear();
  per_thread_.clear();
  shared_prepared_.release();
  arena_.release();
  parameters_.release();
  weights_.reset();
  states_.reset();
}

}  // namespace rwkv
