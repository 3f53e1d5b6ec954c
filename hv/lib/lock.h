/*
 * A ticket lock: first come, first served. Only for state that CPUs of one partition share, and for
 * the log. Interrupts are off wherever the hypervisor runs, so there is nothing to disable.
 */
#pragma once

#include <stdatomic.h>

struct lock {
	_Atomic unsigned next, owner;
};

static inline void lock_take(struct lock *l)
{
	unsigned ticket = atomic_fetch_add_explicit(&l->next, 1, memory_order_relaxed);

	while (atomic_load_explicit(&l->owner, memory_order_acquire) != ticket) {
		__builtin_ia32_pause();
	}
}

static inline void lock_drop(struct lock *l)
{
	unsigned owner = atomic_load_explicit(&l->owner, memory_order_relaxed);

	atomic_store_explicit(&l->owner, owner + 1, memory_order_release);
}
