// Where a kernel waits for those that its stream was given before it: programmatic dependent launch, of Hopper and later.
// CUDA Programming Guide, "Programmatic Dependent Launch and Synchronization".
//
// A kernel that is launched so may begin as soon as all blocks of the one before it have begun and let it. What it does
// until it waits must not touch memory that others write; its wait ends when the grid before it, which has waited for
// those before itself in the same way, has ended and what it wrote can be seen. So every thread waits before anything
// else, and the next kernel may be let in at once: it waits in its turn. No grid is kept from starting by that, since
// the next begins only when all blocks of this one have a place on the GPU. Launched in the usual way, a kernel finds
// nothing to wait for.
//
// Loads that a compiler takes for constant (ld.global.nc, of operands that nothing else may write) have to stay behind
// the wait too. Nothing of the language says so, hence tests read the order off the code.
__device__ __forceinline__ void after_predecessors()
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;\n\tgriddepcontrol.wait;" ::: "memory");
#endif
}
