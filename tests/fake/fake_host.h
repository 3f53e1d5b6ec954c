/*
 * The machine that host tests run on: what it was asked, and what it shall answer.
 */
#pragma once

#include "hv/console/screen.h"
#include "hv/host.h"
#include "hv/limits.h"

enum { FAKE_SPEC_CTRL_RESERVED = BIT(20) };

struct fake_host {
	uint64_t tsc;
	uint64_t tsc_step; /* the TSC goes on by this whenever it is read */
	unsigned cpu;
	uint64_t msr;	    /* what host_rdmsr reads; 0: the number of the MSR */
	uint64_t spec_ctrl; /* as it was written last */
	unsigned spec_ctrl_writes, buffers_cleared;
	unsigned kicks[MAX_CPUS], urgent_kicks[MAX_CPUS];
	uint64_t timer; /* last host_timer_set */
	unsigned waits;
	void (*on_wait)(void); /* what "happens" while the CPU waits */
	uint64_t xcr0;
	uint32_t xsave_bytes; /* what CPUID 0xd tells; 0: what is right */
	bool ended;
	char console[65536]; /* what was printed, NUL-terminated */
	size_t console_len;
	uint64_t look_at;      /* what host_console_watch returns; 0: never */
	unsigned console_take; /* bytes that host_console_put takes per call */
	void (*on_put)(void);  /* what "happens" meanwhile */
	const char *typed;
	bool watching_output;
	unsigned screen_cols, screen_rows; /* 0: no screen */
	unsigned screen_drawn;		   /* cells */
	struct screen_cell screen[SCREEN_ROWS][SCREEN_COLS];
	uint32_t port_value;
	uint16_t port_written;
	void (*port_out)(uint16_t port, unsigned size, uint32_t value); /* first; NULL: nobody */
	uint32_t (*port_in)(uint16_t port, unsigned size);		/* NULL: port_value */
	/* Device memory is memory, at the low bits of its address; what it does is here. */
	uint8_t mmio[0x100000];
	unsigned mmio_size; /* of the last access */
	/* Called first; true: the device has taken the write, and memory does not change. */
	bool (*mmio_write)(uint64_t at, unsigned size, uint64_t value);
	/* Answers of CPUID; NULL: the test machine of fake_host.c. */
	void (*cpuid)(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
	unsigned line_cpu[16];
	uint8_t line_vector[16];
	bool line_masked[16];
	void (*on_settle)(uint16_t bdf); /* host_dma_settle */
	uint64_t free_bytes;		 /* that host_alloc may still give */
};

extern struct fake_host fake_host;
/* RAM that host_alloc_at can give, start and end; not touched by fake_host_reset. */
extern uint64_t fake_host_identity[4][2];

/* Everything back to a machine that has just started; gives back what host_alloc took. */
/* A line of the screen, without blanks at its end. */
const char *fake_host_screen_line(unsigned row);
void fake_host_reset(void);

/* The text of all log_line calls since fake_log_reset. */
extern char fake_log[65536];
void fake_log_reset(void);
/* Puts text into the log's ring only. */
void fake_log_keep(const char *text);
/* A line of another CPU while log_defer is called, printed at once; NULL: none. */
extern const char *fake_log_at_defer;
/* What log_take gives next. */
void fake_log_offer(const char *text);
