/** Prints what rwkv_emulated_kernels says. */
#include <cstdio>

extern "C" const char* rwkv_emulated_kernels();

int main() { return puts(rwkv_emulated_kernels()) < 0; }
