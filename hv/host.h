/*
 * What the pure rooms need from the machine. arch/x86_64/ and drivers/ implement it; host tests link
 * tests/fake/fake_host.c. Nothing else of the machine is visible in hv/.
 */
#pragma once

#include "hv/refuse.h"
#include "hv/types.h"

/* --- memory --- */

/* RAM through the hypervisor's direct map: never NULL, valid for RAM that the loader reported. */
void *host_ptr(hpa_t hpa);

/*
 * `size` bytes (multiple of PAGE_SIZE) of zeroed RAM aligned to `align` (power of two), taken for
 * ever; there is no free. Boot CPU only. False when no block is large enough.
 */
bool host_alloc(uint64_t size, uint64_t align, hpa_t *out);

/* The same, but exactly at `at`. False: not all of it is free. */
bool host_alloc_at(uint64_t at, uint64_t size);
/* The lowest free RAM in [from, limit): where it begins and how much is in one piece. */
bool host_alloc_next(uint64_t from, uint64_t limit, uint64_t *at, uint64_t *size);

/* The size of the largest block that host_alloc could still return at this alignment. */
uint64_t host_alloc_largest(uint64_t align);

/* --- CPU --- */

uint64_t host_tsc(void);
unsigned host_cpu(void);	/* index of this physical CPU, 0 is the boot CPU */
unsigned host_cpu_count(void);	/* CPUs that started */
enum { EAX, EBX, ECX, EDX };
void host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]); /* by the enum above */
bool host_rdmsr(uint32_t msr, uint64_t *value);			   /* false: #GP */
bool host_wrmsr(uint32_t msr, uint64_t value);			   /* false: #GP */
/* VERW: with the CPU's MD_CLEAR, overwrites what its store, fill and load buffers hold. */
void host_clear_buffers(void);
/* Port I/O of 1, 2 or 4 bytes, for passed-through ports. */
uint32_t host_in(uint16_t port, unsigned size);
void host_out(uint16_t port, unsigned size, uint32_t value);
/* MMIO of 1, 2, 4 or 8 bytes at a page that host_map_mmio returned. */
uint64_t host_mmio_read(const volatile void *at, unsigned size);
void host_mmio_write(volatile void *at, unsigned size, uint64_t value);
void *host_map_mmio(hpa_t hpa, uint64_t size); /* uncached, boot CPU only, never NULL */

/*
 * The guest's live vector registers, which the hypervisor itself never uses.
 * bytes: 8 (MMX: reg 0-7), 16 (XMM) or 32 (YMM); reg 0-15. Writing an XMM register keeps the upper
 * half of the YMM; zero_upper clears it, as VEX forms do.
 */
void host_simd_read(unsigned reg, unsigned bytes, void *out);
void host_simd_write(unsigned reg, unsigned bytes, bool zero_upper, const void *in);

/* XCR0, which always holds the guest's value. Only where CPUID has XSAVE. value must be legal. */
uint64_t host_xcr0_read(void);
void host_xcr0_write(uint64_t value);

/* Wall clock: seconds since 1970 at host TSC `now`, from the machine's RTC at boot. */
int64_t host_epoch(uint64_t now);

/* --- interrupts of passed-through devices --- */

/* Vectors that are theirs on every CPU; arch/ hands them to passthrough_interrupt. */
enum { HOST_VECTOR_DEVICE_FIRST = 0x40, HOST_VECTOR_DEVICE_LAST = 0xdf };
uint32_t host_apic_id(unsigned cpu);
/*
 * The line of an ISA IRQ that PCI devices drive, level-triggered, to a vector of one CPU; masked at
 * first. Boot CPU. False: no such line.
 */
bool host_line_open(uint8_t irq, unsigned cpu, uint8_t vector);
void host_line_mask(uint8_t irq, bool masked); /* any CPU */
/*
 * Takes the faults that the IOMMU has recorded until now; what requests with this id have done no
 * longer counts. For a function that is blocked, before it is let through for its guest's next
 * life. Any CPU.
 */
void host_dma_settle(uint16_t bdf);

/* --- between CPUs --- */

/*
 * Makes physical CPU `cpu` leave its guest, or its wait, soon. The order "store the request, then
 * kick" is enough: an entry that is under way exits at once. `urgent` also reaches a CPU whose guest
 * has interrupts off on machines that hold such exits back: an NMI besides the fixed vector, which
 * stays pending and so closes the race with a wait or an entry that has just begun.
 */
void host_kick(unsigned cpu, bool urgent);

/*
 * This CPU's one physical deadline timer: an interrupt at host TSC `deadline` (at once when it has
 * passed), none for UINT64_MAX. Each call replaces the deadline before.
 */
void host_timer_set(uint64_t deadline);

/* Waits on this CPU with interrupts on until one was taken; at once if one is pending. */
void host_wait(void);

/* A short pause in a loop that waits for another CPU. */
void host_relax(void);

/* --- the console's hardware; used by the console CPU, but for host_console_write --- */

/* All of it, waiting: before the multiplexer runs, and for last words. Any CPU, one at a time. */
void host_console_write(const char *s, size_t n);
/* As many bytes as the hardware takes now. */
unsigned host_console_put(const char *s, unsigned n);
/* A typed byte, -1: none. */
int host_console_get(void);
/*
 * An interrupt (console_wake) comes when a byte is typed and, if `output`, when there is room.
 * Returns the TSC at which to look all the same, because a port has no interrupt; UINT64_MAX: never.
 */
uint64_t host_console_watch(bool output);
/*
 * A line of the log, without its newline, for the next boot to show after a reset. Any CPU, one at a
 * time; before there is a place for it, nothing.
 */
void host_log_keep(const char *line, size_t n);

/* --- the screen; used by hv/console/view.c --- */

/* The size of the screen in cells, at least 40 x 10. False: there is none. */
bool host_screen_size(unsigned *cols, unsigned *rows);
/* Draws n cells of one row, all on the screen. */
struct screen_cell;
void host_screen_draw(unsigned col, unsigned row, const struct screen_cell *cells, unsigned n);

/* --- the end --- */

/* Ends the machine as the configuration says; does not return. */
struct config_system;
void host_end(const struct config_system *c) NORETURN;
/* Stops all CPUs for ever, without a word: the others by NMI, this one by halting. Any CPU. */
void host_stop(void) NORETURN;

/* TSC ticks per second, the same on all CPUs. */
extern uint64_t host_tsc_hz;
/* The TSC is invariant or was measured to run together on all CPUs. */
extern bool host_tsc_reliable;
