/** A compiled program: operations in phases, their memory, and the plan of a step. */
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "stores.h"
#include "thread-pool.h"

namespace rwkv {

/** What the encoder in src/encode sends; op codes in the order of `operationNames` there. */
enum class OpCode : int32_t {
  embed,
  select_rows,
  norm,
  l2_norm,
  lerp,
  linear,
  row_matmul,
  add,
  mul,
  scale,
  activate,
  copy,
  shift_mix,
  commit_shift,
  wkv4,
  wkv6,
  wkv7,
  bonus7,
  prepare7,
  top_k,
};
constexpr size_t kOpCodes = 20;

/** Units of one operation that a thread does in one go. */
struct Task {
  uint32_t operation;
  Range units;
};

/** An operation with its arguments bound to memory. */
class Operation {
 public:
  virtual ~Operation() = default;
  virtual size_t units(const Kernels&, const Step&) const = 0;
  /** `prepared`: what `prepare` made, for products. */
  virtual void run(const Kernels&, const Step&, Range, const uint8_t* prepared, uint8_t* scratch) const = 0;
  /** About how long all units take on one thread, in nanoseconds; only the cutting of tasks depends on it. */
  virtual double cost(const Step&) const = 0;

  virtual size_t prepared_bytes(const Kernels&, const Step&) const { return 0; }
  virtual size_t prepare_units(const Kernels&, const Step&) const { return 0; }
  virtual void prepare(const Kernels&, const Step&, Range, uint8_t*) const {}

  OpCode code = OpCode::copy;
  uint32_t phase = 0;
};

struct Limits {
  uint32_t tokens, sequences, wanted;
};

/** What the encoder sends for one program, all numbers checked there; decoding checks them once more against memory. */
struct EncodedProgram {
  const double* words;
  size_t count;
  /** Floats of the arena of activations, and of the parameters. */
  size_t arena_floats;
  size_t parameter_floats;
  Limits limits;
};

/** Milliseconds since `profile` was switched on. */
struct Profile {
  double operations[kOpCodes] = {};
  double prepare = 0;
  double steps = 0;
  uint64_t step_count = 0;
};

class CompiledProgram {
 public:
  CompiledProgram(const Kernels& kernels, std::shared_ptr<WeightStore> weights, std::shared_ptr<StateStore> states);

  enum class Status { ok, out_of_memory, malformed };
  Status decode(const EncodedProgram& encoded);

  /**
   * Whether the step stays within the memory of the program, its states and `output_floats`. JavaScript has checked the
   * batch, but arrays in shared memory may change after that.
   */
  bool accepts(const Step& step, size_t embedding_floats, size_t output_floats) const;

  /** About how much the largest step takes beside arena and parameters, on a pool of that many threads. */
  size_t working_bytes(unsigned threads) const;

  /**
   * Runs a step on the pool; `output` takes the output rows, or the candidates where the step asks for them. Stops between phases when `stop` turns true. False when the
   * system has no memory for the step's own needs; nothing has changed then.
   */
  bool run(ThreadPool& pool, const Step& step, float* output, const std::atomic<bool>& stop);

  /** Copies a whole output row of the last step, which asked for candidates; false where there is no such row. */
  bool output_row(uint32_t row, float* out, size_t floats) const;

  void set_profiling(bool on);
  const Profile& profile() const { return profile_; }
  void release();

 private:
  friend class Decoder;

  /** Tasks that are independent of each other, cut into one span per thread. */
  struct Stretch {
    std::vector<Task> tasks;
    std::vector<uint32_t> spans;
    bool is_prepare = false;
  };
  struct Plan {
    uint32_t tokens = 0, sequences = 0, wanted = 0;
    bool candidates = false;
    unsigned threads = 0;
    /** So little work that sharing it would cost more than it saves. */
    bool alone = false;
    std::vector<Stretch> stretches;
    /** Per operation, where its prepared input begins; in memory of the thread's own, or shared. */
    std::vector<size_t> prepared_at;
    bool prepared_per_thread = false;
    size_t prepared_bytes = 0;
    uint64_t used = 0;
  };
  class StepRun;
  struct PerThread {
    Block scratch;
    Block prepared;
    /** Per operation, the step for which this thread last prepared its input. */
    std::vector<uint64_t> prepared_for;
    Profile profile;
  };

  const Plan& plan_for(const Step& step, unsigned threads);
  void make_plan(Plan& plan, const Step& step, unsigned threads) const;
  void cut(Stretch& stretch, const std::vector<Task>& whole, const std::vector<double>& costs, unsigned threads) const;
  /** Memory that a plan needs and earlier ones did not. */
  bool reserve(const Plan& plan);
  void run_task(const Plan& plan, const Stretch& stretch, const Task& task, const Step& step, PerThread& own);

  const Kernels& kernels_;
  std::shared_ptr<WeightStore> weights_;
  std::shared_ptr<StateStore> states_;
  const size_t slots_;
  std::vector<std::unique_ptr<Operation>> operations_;
  /** Fields of arguments that point into the output rows, which differ from run to run, and how far in. */
  struct OutputPointer {
    float** field;
    size_t offset;
  };
  std::vector<OutputPointer> output_pointers_;
  /** The same for the rows of candidates. */
  std::vector<OutputPointer> candidate_pointers_;
  Limits limits_{};
  /** Rows of the smallest embedding table, and columns of the one that given embeddings replace rows of. */
  uint32_t vocabulary_ = UINT32_MAX;
  uint32_t embedding_columns_ = 0;
  /** Numbers of an output row, and of a row of candidates. */
  size_t output_stride_ = 0;
  size_t candidate_stride_ = 0;
  /** The output rows of a step that gives candidates, and how many they are. */
  Block kept_rows_;
  uint32_t kept_ = 0;
  Block arena_;
  Block parameters_;
  Block shared_prepared_;
  std::vector<PerThread> per_thread_;
  std::vector<Plan> plans_;
  uint64_t step_count_ = 0;
  bool profiling_ = false;
  Profile profile_;
};

}  // namespace rwkv
