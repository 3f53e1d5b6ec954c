/*
 * The start, the output, the end and the faults of a guest. See guest.h.
 */
#include "guest.h"

enum { COM1 = 0x3f8, LSR = COM1 + 5, LSR_THRE = 0x20, LSR_TEMT = 0x40 };

void guest_start(void);
void guest_interrupt(struct frame *f);

/* --- output ------------------------------------------------------------------------------------ */
static void com1_init(void)
{
	out8(COM1 + 3, 0x80); /* DLAB */
	out8(COM1 + 0, 1);
	out8(COM1 + 1, 0);
	out8(COM1 + 3, 3);
	out8(COM1 + 2, 7);
	out8(COM1 + 4, 3);
}

static void put(char c)
{
	if (c == '\n') {
		put('\r');
	}
	while (!(in8(LSR) & LSR_THRE)) {
		pause();
	}
	out8(COM1, (uint8_t)c);
}

static void put_number(unsigned long long value, unsigned base, unsigned width)
{
	char digits[24];
	unsigned n = 0;

	do {
		/* 32-bit guests have no 64-bit division; theirs are small or hexadecimal. */
		unsigned digit = base == 16 ? (unsigned)(value & 15) : (unsigned)((uintptr_t)value % 10);

		digits[n++] = "0123456789abcdef"[digit];
		value = base == 16 ? value >> 4 : (uintptr_t)value / 10;
	} while (value);
	while (width > n) {
		put('0');
		width--;
	}
	while (n) {
		put(digits[--n]);
	}
}

static unsigned long long argument(va_list *args, unsigned longs)
{
	switch (longs) {
	case 0:
		return va_arg(*args, unsigned);
	case 1:
		return va_arg(*args, unsigned long);
	default:
		return va_arg(*args, unsigned long long);
	}
}

/* %s %c %d %u %x with l, ll and a width of zeros. */
void print_va(const char *format, va_list list)
{
	va_list args;

	va_copy(args, list);
	for (const char *p = format; *p; p++) {
		unsigned width = 0, longs = 0;

		if (*p != '%') {
			put(*p);
			continue;
		}
		for (p++; *p >= '0' && *p <= '9'; p++) {
			width = width * 10 + (unsigned)(*p - '0');
		}
		for (; *p == 'l'; p++) {
			longs++;
		}
		if (*p == 's') {
			for (const char *s = va_arg(args, const char *); *s; s++) {
				put(*s);
			}
		} else if (*p == 'c') {
			put((char)va_arg(args, int));
		} else if (*p == 'd') {
			long long value = longs == 0 ? va_arg(args, int) : (long long)argument(&args, longs);

			if (value < 0) {
				put('-');
				value = -value;
			}
			put_number((unsigned long long)value, 10, width);
		} else {
			put_number(argument(&args, longs), *p == 'x' ? 16 : 10, width);
		}
	}
	va_end(args);
}

void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_va(format, args);
	va_end(args);
}

/* --- the end ----------------------------------------------------------------------------------- */
static void drain(void)
{
	while (!(in8(LSR) & LSR_TEMT)) {
		pause();
	}
}

static void __attribute__((noreturn)) end(uint8_t status)
{
	interrupts_off();
	drain();
	out8(DEBUG_EXIT, status);
	print("this guest wrote to its debug-exit port, and still runs\n");
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

void guest_pass(void)
{
	print("PASS %s\n", guest_name);
	end(0);
}

void guest_fail(const char *why, ...)
{
	va_list args;

	print("FAIL %s: ", guest_name);
	va_start(args, why);
	print_va(why, args);
	va_end(args);
	print("\n");
	end(1);
}

void guest_power_off(void)
{
	interrupts_off();
	drain();
	out16(0x604, 5 << 10 | 1 << 13); /* PM1a control: SLP_TYP 5, SLP_EN */
	guest_fail("still runs after S5");
}

/* --- the command line ------------------------------------------------------------------------ */
bool text_equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

const char *guest_cmdline(void)
{
	if (boot_magic != 0x2badb002 || !(multiboot()->flags & 4)) {
		return "";
	}
	return (const char *)(uintptr_t)multiboot()->cmdline;
}

/* The rest of the word that begins with `start`, or NULL. */
static const char *find_word(const char *start)
{
	for (const char *p = guest_cmdline(); *p; p++) {
		const char *a = p, *b = start;

		while (*b && *a == *b) {
			a++;
			b++;
		}
		if (!*b && (p == guest_cmdline() || p[-1] == ' ')) {
			return a;
		}
	}
	return NULL;
}

bool guest_has_word(const char *word)
{
	const char *rest = find_word(word);

	return rest && (!*rest || *rest == ' ');
}

unsigned long guest_option(const char *key, unsigned long otherwise)
{
	const char *rest = find_word(key);
	unsigned long value = 0;

	if (!rest || *rest++ != '=') {
		return otherwise;
	}
	for (; *rest >= '0' && *rest <= '9'; rest++) {
		value = value * 10 + (unsigned long)(*rest - '0');
	}
	return value;
}

/* --- interrupts and exceptions ----------------------------------------------------------------- */
#ifdef __x86_64__
enum { GATE_SIZE = 16, GATE_CS = 0x18 };
#else
enum { GATE_SIZE = 8, GATE_CS = 0x08 };
#endif
extern const char interrupt_stubs[];
static uint32_t idt[256 * GATE_SIZE / 4] __attribute__((aligned(16)));
static interrupt_handler *handlers[256];
volatile struct caught caught;
volatile uintptr_t recover_ip, recover_sp;

void on_interrupt(unsigned vector, interrupt_handler *handler)
{
	handlers[vector] = handler;
}

void load_idt(void)
{
	struct {
		uint16_t limit;
		uintptr_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uintptr_t)idt};

	__asm__ volatile("lidt %0" : : "m"(pointer));
}

static void build_idt(void)
{
	for (unsigned v = 0; v < 256; v++) {
		uint32_t stub = (uint32_t)(uintptr_t)interrupt_stubs + 16 * v;
		uint32_t *gate = idt + v * GATE_SIZE / 4;

		gate[0] = (uint32_t)GATE_CS << 16 | (stub & 0xffff);
		gate[1] = (stub & 0xffff0000) | 0x8e00;
	}
}

void guest_interrupt(struct frame *f)
{
	if (handlers[f->vector]) {
		handlers[f->vector](f);
		return;
	}
	if (f->vector < 32 && recover_ip) {
		caught.vector = (int)f->vector;
		caught.error = f->error;
		caught.ip = f->ip;
		caught.cr2 = read_cr2();
		f->ip = recover_ip;
#ifdef __x86_64__
		f->sp = recover_sp;
#endif
		return;
	}
	guest_fail("unexpected interrupt %u, error %lx, at %lx, cr2 %lx", (unsigned)f->vector,
		   (unsigned long)f->error, (unsigned long)f->ip, (unsigned long)read_cr2());
}

int try_rdmsr(uint32_t msr, uint64_t *value)
{
	uint32_t low = 0, high = 0;

	caught.vector = -1;
	__asm__ volatile(TRY_TARGET_ "movl %2, %%ecx; rdmsr; movl %%eax, %0; movl %%edx, %1;" TRY_DONE_
			 : "=m"(low), "=m"(high)
			 : "m"(msr)
			 : "eax", "ecx", "edx", "memory");
	*value = (uint64_t)high << 32 | low;
	return caught.vector;
}

int try_wrmsr(uint32_t msr, uint64_t value)
{
	uint32_t low = (uint32_t)value, high = (uint32_t)(value >> 32);

	return TRY("movl %1, %%eax; movl %2, %%edx; movl %0, %%ecx; wrmsr",
		   "m"(msr), "m"(low), "m"(high));
}

void guest_start(void)
{
	com1_init();
	build_idt();
	load_idt();
	guest_main();
	guest_pass();
}
