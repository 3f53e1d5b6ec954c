/*
 * A tiny library for bare-metal guests: example guests and the payloads of the system tests.
 *
 * start.asm brings a guest from multiboot 1 into 32-bit protected or 64-bit long mode (all memory
 * below 4 GiB mapped one to one), installs an IDT and calls guest_main with interrupts off. A
 * guest that returns has passed. Everything here runs on the boot CPU unless it says otherwise.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern const char guest_name[]; /* in every guest, for its PASS or FAIL line */
void guest_main(void);

#define GUEST(name) const char guest_name[] = name

/* --- how a guest ends ------------------------------------------------------------------------ */
enum { DEBUG_EXIT = 0xf4 };

void guest_pass(void) __attribute__((noreturn));
void guest_fail(const char *why, ...) __attribute__((noreturn, format(printf, 1, 2)));
void guest_power_off(void) __attribute__((noreturn)); /* ACPI S5 */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_va(const char *format, va_list args);

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			guest_fail("line %d: %s", __LINE__, #cond);                                \
		}                                                                                  \
	} while (0)
#define CHECK_EQ(a, b)                                                                             \
	do {                                                                                       \
		unsigned long long a_ = (unsigned long long)(a), b_ = (unsigned long long)(b);     \
		if (a_ != b_) {                                                                    \
			guest_fail("line %d: %s is %llx, not %llx", __LINE__, #a, a_, b_);         \
		}                                                                                  \
	} while (0)

/* --- what the loader gave us (multiboot 1, "Boot information format") ------------------------- */
struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4],
		mmap_length, mmap_addr;
};
struct multiboot_module {
	uint32_t start, end, string, reserved;
};
struct multiboot_mmap {
	uint32_t size;
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));
extern uint32_t boot_magic, boot_info;
static inline const struct multiboot_info *multiboot(void)
{
	return (const struct multiboot_info *)(uintptr_t)boot_info;
}
const char *guest_cmdline(void);
/* The number after `key=` on the command line, or `otherwise`. */
unsigned long guest_option(const char *key, unsigned long otherwise);
bool guest_has_word(const char *word);
bool text_equal(const char *a, const char *b);

/* --- one instruction each --------------------------------------------------------------------- */
#define INSTRUCTION_IN(width, letter)                                                              \
	static inline uint##width##_t in##width(uint16_t port)                                     \
	{                                                                                          \
		uint##width##_t value;                                                             \
		__asm__ volatile("in" letter " %1, %0" : "=a"(value) : "Nd"(port) : "memory");     \
		return value;                                                                      \
	}                                                                                          \
	static inline void out##width(uint16_t port, uint##width##_t value)                        \
	{                                                                                          \
		__asm__ volatile("out" letter " %0, %1" : : "a"(value), "Nd"(port) : "memory");    \
	}
INSTRUCTION_IN(8, "b")
INSTRUCTION_IN(16, "w")
INSTRUCTION_IN(32, "l")

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

struct cpuid {
	uint32_t a, b, c, d;
};
static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
	return r;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (uint64_t)high << 32 | low;
}
static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

#define CONTROL_REGISTER(n)                                                                        \
	static inline uintptr_t read_cr##n(void)                                                   \
	{                                                                                          \
		uintptr_t value;                                                                   \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(value) : : "memory");                 \
		return value;                                                                      \
	}                                                                                          \
	static inline void write_cr##n(uintptr_t value)                                            \
	{                                                                                          \
		__asm__ volatile("mov %0, %%cr" #n : : "r"(value) : "memory");                     \
	}
CONTROL_REGISTER(0)
CONTROL_REGISTER(2)
CONTROL_REGISTER(3)
CONTROL_REGISTER(4)

static inline void interrupts_on(void)
{
	__asm__ volatile("sti; nop" : : : "memory");
}
static inline void interrupts_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}
static inline void halt(void) /* interrupts off before and after */
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}
static inline void pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

static inline uint32_t mmio_read(uintptr_t address)
{
	uint32_t value;

	__asm__ volatile("movl %1, %0" : "=r"(value) : "m"(*(volatile uint32_t *)address));
	return value;
}
static inline void mmio_write(uintptr_t address, uint32_t value)
{
	__asm__ volatile("movl %1, %0" : "=m"(*(volatile uint32_t *)address) : "r"(value));
}

/* --- interrupts and exceptions (all CPUs share the IDT) ----------------------------------------- */
enum { EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_UD = 6, EXC_NM = 7, EXC_DF = 8, EXC_GP = 13, EXC_PF = 14 };

/* As start.asm pushes it. In 32-bit mode without a change of CPL there is no rsp and ss. */
struct frame {
#ifdef __x86_64__
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
#endif
	uintptr_t di, si, bp, bx, dx, cx, ax;
	uintptr_t vector, error, ip, cs, flags, sp, ss;
};
typedef void interrupt_handler(struct frame *f);
void on_interrupt(unsigned vector, interrupt_handler *handler);
void load_idt(void); /* other CPUs */

/* The last fault that TRY caught. */
struct caught {
	int vector; /* -1: none */
	uintptr_t error, ip, cr2;
};
extern volatile struct caught caught;
extern volatile uintptr_t recover_ip, recover_sp;

#ifdef __x86_64__
#define TRY_TARGET_                                                                                \
	"leaq 771f(%%rip), %%rax; movq %%rax, recover_ip(%%rip); movq %%rsp, recover_sp(%%rip);"
#define TRY_DONE_ "771: movq $0, recover_ip(%%rip)"
#else
#define TRY_TARGET_ "movl $771f, recover_ip;"
#define TRY_DONE_ "771: movl $0, recover_ip"
#endif
/* Runs assembly text (which may change EAX, ECX and EDX, and takes no inputs in them) and yields the vector it faulted with, or -1. */
#define TRY(text, ...)                                                                             \
	({                                                                                         \
		caught.vector = -1;                                                                \
		__asm__ volatile(TRY_TARGET_ text ";" TRY_DONE_ : : __VA_ARGS__                 \
				 : "eax", "ecx", "edx", "memory", "cc");                           \
		caught.vector;                                                                     \
	})
int try_rdmsr(uint32_t msr, uint64_t *value);
int try_wrmsr(uint32_t msr, uint64_t value);

/* --- time ------------------------------------------------------------------------------------ */
/* Frequencies: as Mullion's CPUID leaf tells them, measured where it is not Mullion. */
uint64_t tsc_hz(void);
uint64_t mullion_hz(bool apic_timer); /* 0: no such leaf */
uint64_t tsc_hz_measured(void);	      /* against the PM timer, for 50 ms */
void delay_us(unsigned microseconds);
enum { PM_TIMER = 0x608, PM_TIMER_HZ = 3579545, PIT_HZ = 1193182 };
void pit_start(unsigned mode, unsigned count); /* channel 0 */

/* --- local APIC and I/O APIC -------------------------------------------------------------------- */
enum { LAPIC = 0xfee00000u, IOAPIC = 0xfec00000u };
enum lapic_register {
	LAPIC_ID = 0x20, LAPIC_VERSION = 0x30, LAPIC_TPR = 0x80, LAPIC_PPR = 0xa0, LAPIC_EOI = 0xb0,
	LAPIC_LDR = 0xd0, LAPIC_DFR = 0xe0, LAPIC_SVR = 0xf0, LAPIC_ISR = 0x100, LAPIC_TMR = 0x180,
	LAPIC_IRR = 0x200, LAPIC_ESR = 0x280, LAPIC_ICR = 0x300, LAPIC_ICR2 = 0x310,
	LAPIC_TIMER = 0x320, LAPIC_LINT0 = 0x350, LAPIC_LINT1 = 0x360, LAPIC_ERROR = 0x370,
	LAPIC_INITIAL = 0x380, LAPIC_CURRENT = 0x390, LAPIC_DIVIDE = 0x3e0,
};
enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800 };
enum {
	ICR_NMI = 4 << 8, ICR_INIT = 5 << 8, ICR_SIPI = 6 << 8, ICR_LOGICAL = 1 << 11,
	ICR_ASSERT = 1 << 14, ICR_SELF = 1 << 18, ICR_ALL = 2 << 18, ICR_OTHERS = 3 << 18,
	LVT_MASKED = 1 << 16, LVT_PERIODIC = 1 << 17, LVT_DEADLINE = 2 << 17, LVT_EXTINT = 7 << 8,
};
extern bool lapic_x2; /* use the MSRs */
uint32_t lapic_read(enum lapic_register r);
void lapic_write(enum lapic_register r, uint32_t value);
void lapic_enable(void); /* calling CPU: spurious vector 0xff, LINT0 masked, TPR 0 */
void lapic_eoi(void);
void lapic_send(uint32_t dest, uint32_t icr);
uint32_t lapic_id(void);
uint64_t lapic_timer_hz(void); /* with divide 1 */
uint64_t lapic_timer_hz_measured(void);

uint32_t ioapic_read(uint32_t index);
void ioapic_write(uint32_t index, uint32_t value);
void ioapic_route(unsigned pin, uint64_t entry);
void pic_init(uint8_t base, uint16_t mask); /* both chips; base of the master, +8 the slave */

/* --- other CPUs (64-bit guests) -------------------------------------------------------------- */
enum { GUEST_CPUS = 16 };
/* Starts every other CPU at page `vector` by INIT-SIPI; each calls `entry`. Returns how many came. */
unsigned smp_start(uint8_t vector, unsigned expected, void (*entry)(unsigned index));
