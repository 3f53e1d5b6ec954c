/*
 * host.h on the test host: host-physical addresses are pointers, CPUs and time are variables.
 */
#include "tests/fake/fake_host.h"
#include "hv/msr_index.h"
#include <stdlib.h>
#include <string.h>

struct fake_host fake_host;
uint64_t host_tsc_hz = 1000000000;
bool host_tsc_reliable = true;

enum { BLOCKS = 4096 };
static void *block[BLOCKS];
static unsigned blocks;

void fake_host_reset(void)
{
	while (blocks) {
		free(block[--blocks]);
	}
	fake_host = (struct fake_host){
		.timer = UINT64_MAX, .xcr0 = 1, .console_take = ~0u, .free_bytes = 1ull << 32};
	host_tsc_hz = 1000000000;
	host_tsc_reliable = true;
}

void *host_ptr(hpa_t at)
{
	return (void *)(uintptr_t)at.v;
}

bool host_alloc(uint64_t size, uint64_t align, hpa_t *out)
{
	void *p;

	if (size > fake_host.free_bytes || blocks == BLOCKS ||
	    !(p = aligned_alloc(align, ALIGN_UP(size, align)))) {
		return false;
	}
	fake_host.free_bytes -= size;
	memset(p, 0, size);
	block[blocks++] = p;
	out->v = (uintptr_t)p;
	return true;
}

uint64_t host_alloc_largest(uint64_t align)
{
	return fake_host.free_bytes & ~(align - 1);
}

/* Free RAM at fixed addresses that identity guests find: kept over fake_host_reset. */
uint64_t fake_host_identity[4][2];

bool host_alloc_next(uint64_t from, uint64_t limit, uint64_t *at, uint64_t *size)
{
	for (unsigned i = 0; i < 4; i++) {
		const uint64_t *r = fake_host_identity[i];
		uint64_t start = r[0] > from ? r[0] : from, end = r[1] < limit ? r[1] : limit;

		if (start < end) {
			*at = start;
			*size = end - start;
			return true;
		}
	}
	return false;
}

bool host_alloc_at(uint64_t at, uint64_t size)
{
	(void)at;
	(void)size;
	return true;
}

uint32_t host_apic_id(unsigned cpu)
{
	return 0x10 + cpu;
}

bool host_line_open(uint8_t irq, unsigned cpu, uint8_t vector)
{
	fake_host.line_cpu[irq] = cpu;
	fake_host.line_vector[irq] = vector;
	fake_host.line_masked[irq] = true;
	return true;
}

void host_line_mask(uint8_t irq, bool masked)
{
	fake_host.line_masked[irq] = masked;
}

void host_dma_settle(uint16_t bdf)
{
	if (fake_host.on_settle) {
		fake_host.on_settle(bdf);
	}
}

uint64_t host_tsc(void)
{
	return fake_host.tsc += fake_host.tsc_step;
}

int64_t host_epoch(uint64_t now)
{
	(void)now;
	return 1700000000;
}

unsigned host_cpu(void)
{
	return fake_host.cpu;
}

unsigned host_cpu_count(void)
{
	return 4;
}

/* A CPU of 2015 with XSAVE, AVX, PCID, SMAP and four caches. */
static void test_machine(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	static const struct {
		uint32_t leaf, subleaf, out[4];
	} answers[] = {
		{0, 0, {0x16, 0x756e6547, 0x6c65746e, 0x49656e69}},
		{1, 0, {0x506e3, 0x100800, 0x7ffafbff, 0xbfebfbff}},
		{4, 0, {0x1c004121, 0x01c0003f, 63, 0}},
		{4, 3, {0x1c03c163, 0x03c0003f, 8191, 6}},
		{6, 0, {0x27f7, 2, 9, 0}},
		{7, 0, {0, 0x029c6fbf, 0x40000000, 0xbc000000}},
		{0xd, 0, {0x1f, 832, 1088, 0}},
		{0xd, 1, {0xf, 832, 0x100, 0}},
		{0xd, 2, {256, 576, 0, 0}},
		{0x80000000, 0, {0x80000008, 0, 0, 0}},
		{0x80000001, 0, {0, 0, 0x121, 0x2c100800}},
		{0x80000007, 0, {0, 0, 0, 0x100}},
		{0x80000008, 0, {0x3027, 0, 0, 0}},
	};

	memset(out, 0, 16);
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		if (answers[i].leaf == leaf && answers[i].subleaf == subleaf) {
			memcpy(out, answers[i].out, 16);
		}
	}
	if (leaf == 0xd && subleaf < 2) {
		out[1] = fake_host.xsave_bytes ? fake_host.xsave_bytes
			 : fake_host.xcr0 & 4  ? 832
					       : 576;
	}
}

void host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	(fake_host.cpuid ? fake_host.cpuid : test_machine)(leaf, subleaf, out);
}

bool host_rdmsr(uint32_t msr, uint64_t *value)
{
	*value = fake_host.msr ? fake_host.msr : msr;
	return msr != 0xbad;
}

bool host_wrmsr(uint32_t msr, uint64_t value)
{
	if (msr == MSR_SPEC_CTRL) {
		if (value & FAKE_SPEC_CTRL_RESERVED) {
			return false;
		}
		fake_host.spec_ctrl_writes++;
		fake_host.spec_ctrl = value;
	}
	return msr != 0xbad;
}

void host_clear_buffers(void)
{
	fake_host.buffers_cleared++;
}

uint32_t host_in(uint16_t port, unsigned size)
{
	return fake_host.port_in ? fake_host.port_in(port, size) : fake_host.port_value;
}

void host_out(uint16_t port, unsigned size, uint32_t value)
{
	if (fake_host.port_out) {
		fake_host.port_out(port, size, value);
	}
	fake_host.port_written = port;
	fake_host.port_value = value;
}

void *host_map_mmio(hpa_t at, uint64_t size)
{
	(void)size;
	return fake_host.mmio + at.v % sizeof(fake_host.mmio);
}

uint64_t host_mmio_read(const volatile void *at, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, (const void *)(uintptr_t)at, size);
	fake_host.mmio_size = size;
	return v;
}

void host_mmio_write(volatile void *at, unsigned size, uint64_t value)
{
	uint64_t offset = (uint64_t)((volatile uint8_t *)at - fake_host.mmio);

	fake_host.mmio_size = size;
	if (!fake_host.mmio_write || !fake_host.mmio_write(offset, size, value)) {
		memcpy((void *)(uintptr_t)at, &value, size);
	}
}

uint64_t host_xcr0_read(void)
{
	return fake_host.xcr0;
}

void host_xcr0_write(uint64_t value)
{
	fake_host.xcr0 = value;
}

void host_kick(unsigned cpu, bool urgent)
{
	fake_host.kicks[cpu]++;
	fake_host.urgent_kicks[cpu] += urgent;
}

void host_timer_set(uint64_t deadline)
{
	fake_host.timer = deadline;
}

void host_wait(void)
{
	fake_host.waits++;
	if (fake_host.on_wait) {
		fake_host.on_wait();
	}
}

void host_relax(void)
{
}

void host_console_write(const char *s, size_t n)
{
	for (size_t i = 0; i < n && fake_host.console_len + 1 < sizeof(fake_host.console); i++) {
		fake_host.console[fake_host.console_len++] = s[i];
	}
	fake_host.console[fake_host.console_len] = 0;
}

unsigned host_console_put(const char *s, unsigned n)
{
	n = n < fake_host.console_take ? n : fake_host.console_take;
	host_console_write(s, n);
	if (fake_host.on_put) {
		fake_host.on_put();
	}
	return n;
}

int host_console_get(void)
{
	return fake_host.typed && *fake_host.typed ? (uint8_t)*fake_host.typed++ : -1;
}

uint64_t host_console_watch(bool output)
{
	fake_host.watching_output = output;
	return fake_host.look_at ? fake_host.look_at : UINT64_MAX;
}

void host_end(const struct config_system *c)
{
	(void)c;
	abort(); /* a test that gets here replaces it by checking before */
}

const char *fake_host_screen_line(unsigned row)
{
	static char text[SCREEN_COLS + 1];
	unsigned n = fake_host.screen_cols;

	for (unsigned i = 0; i < n; i++) {
		text[i] = (char)fake_host.screen[row][i].ch;
	}
	while (n && text[n - 1] == ' ') {
		n--;
	}
	text[n] = 0;
	return text;
}

bool host_screen_size(unsigned *cols, unsigned *rows)
{
	*cols = fake_host.screen_cols;
	*rows = fake_host.screen_rows;
	return *cols != 0;
}

void host_screen_draw(unsigned col, unsigned row, const struct screen_cell *cells, unsigned n)
{
	if (row >= fake_host.screen_rows || col + n > fake_host.screen_cols) {
		abort();
	}
	memcpy(&fake_host.screen[row][col], cells, n * sizeof(*cells));
	fake_host.screen_drawn += n;
}
