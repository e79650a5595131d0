/** A program that learns: its memory, and runs of it forward, backward and through the optimiser. */
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "../engine/stores.h"
#include "../engine/thread-pool.h"
#include "../kernels/training.h"
#include "instruction.h"

namespace rwkv::training {

struct Limits {
  uint32_t tokens, sequences, wanted;
};

/** What learns: a weight, or the initial numbers of a state. */
struct Trainable {
  bool is_state = false;
  /** Of the weight, or of the state's spec. */
  uint32_t index = 0;
  float learning_rate_factor = 1;
  float weight_decay_factor = 0;
  float* values = nullptr;
  size_t count = 0;
  /** Of its gradient and moments, in each of their blocks. */
  size_t offset = 0;
};

/** The order is that of `parts` in src/training/native-training.ts. */
enum class TrainablePart : uint8_t { value, gradient, first_moment, second_moment };

struct EncodedTraining {
  const double* words;
  size_t count;
  size_t arena_floats;
  size_t local_floats;
  Limits limits;
};

/** A step, and what it learns. */
struct Lesson {
  Step step;
  const uint32_t* targets = nullptr;
  /** Null for 1 each. */
  const float* weights = nullptr;
  double scale = 1;
  double penalty = 0;
  /** Whether gradients are wanted. */
  bool backward = false;
};

struct Update {
  double step, learning_rate, weight_decay, beta1, beta2, epsilon;
  /** Infinite: none. */
  double norm_limit;
};

struct UpdateResult {
  double norm = 0;
  bool applied = false;
};

/** Milliseconds since profiling began: of `runs` as the clock saw them, of codes the threads' own. */
struct TrainingProfile {
  double codes[kCodes] = {};
  /** Of products: floating-point operations. */
  double operations = 0;
  double runs = 0;
  uint64_t run_count = 0;
};

class Training {
 public:
  struct Parts {
    const Kernels* kernels = nullptr;
    const TrainingKernels* training = nullptr;
    std::shared_ptr<WeightStore> weights;
    /** Two of the same specs. */
    std::shared_ptr<StateStore> states, state_gradients;
  };
  explicit Training(Parts parts);

  enum class Status { ok, out_of_memory, malformed };
  /** Takes the memory, and checks every argument of every instruction against it. */
  Status decode(const EncodedTraining& encoded, unsigned threads);

  /** Whether a lesson stays within the memory; `targets` and `weights` have so many numbers. */
  bool accepts(const Lesson& lesson) const;
  /** Gives the loss. False when the system has no memory for the plan. Stops between levels when `stop` turns true. */
  bool run(ThreadPool& pool, const Lesson& lesson, const std::atomic<bool>& stop, double& loss);
  UpdateResult update(ThreadPool& pool, const Update& update);

  void reset_slot(size_t slot);
  void collect_initial_gradients(size_t slot);
  size_t slots() const { return slots_; }
  /** Nothing else may be called then. */
  bool released() const { return weights_ == nullptr; }
  /** Null where there is no such trainable. */
  float* part_of(size_t trainable, TrainablePart part, size_t& count) const;

  void set_profiling(bool on);
  const TrainingProfile& profile() const { return profile_; }
  void release();

 private:
  friend class TrainingDecoder;
  friend class Executor;

  struct Task {
    uint32_t node;
    /** Units; of products, tiles of rows and of columns. */
    Range units;
    Range columns;
  };
  struct Stretch {
    std::vector<Task> tasks;
    std::vector<uint32_t> spans;
  };
  struct Plan {
    uint32_t tokens = 0, sequences = 0, wanted = 0;
    std::vector<Stretch> stretches;
    /** Those before the backward part. */
    size_t forward_stretches = 0;
    uint64_t used = 0;
  };
  class Run;
  struct PerThread {
    Block scratch;
    Block local;
    TrainingProfile profile;
  };

  const Plan& plan_for(const Step& step, unsigned threads);
  void make_plan(Plan& plan, const Step& step, unsigned threads) const;
  void cut(Stretch& stretch, const std::vector<uint32_t>& nodes, const Step& step, unsigned threads) const;
  size_t units_of(const Node& node, const Step& step) const;
  double cost_of(const Node& node, const Step& step) const;
  double gradient_norm(ThreadPool& pool);
  bool allocate_trainables();

  const Kernels& kernels_;
  const TrainingKernels& training_;
  std::shared_ptr<WeightStore> weights_;
  std::shared_ptr<StateStore> states_, state_gradients_;
  const size_t slots_;
  Limits limits_{};
  /** Token ids, and targets, are below these. */
  uint32_t vocabulary_ = UINT32_MAX;
  uint32_t output_width_ = UINT32_MAX;
  std::vector<Trainable> trainables_;
  std::vector<Node> nodes_;
  Block arena_;
  Block gradients_, first_moments_, second_moments_, initial_;
  std::vector<PerThread> per_thread_;
  std::vector<double> losses_;
  /** The optimiser's work: stretches of trainables, and Σ gradient² of each. */
  struct Chunk {
    uint32_t trainable;
    size_t begin, count;
  };
  std::vector<Chunk> chunks_;
  std::vector<double> chunk_squares_;
  std::vector<Plan> plans_;
  uint64_t runs_ = 0;
  bool profiling_ = false;
  TrainingProfile profile_;
};

}  // namespace rwkv::training
