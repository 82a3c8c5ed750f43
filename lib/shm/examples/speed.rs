use std::time::Instant;
use sterna_shm::*;
use sterna_wire::*;
fn main() {
    let c = Counters::create(&[CounterDesc{name:"a",kind:Kind::Rx,help:"h"}], &[]).unwrap();
    let t=Instant::now();
    let (mut d, mut k) = session_pair(&Offer{counters:&c, ring_slots:4096, ports:&[]}).unwrap();
    println!("session {:?}", t.elapsed());
    const N: u32 = 5_000_000;
    let rec = |i:u32| Update::EidUpsert{iid:Iid::new(100).unwrap(), prefix: Prefix::host(std::net::Ipv4Addr::from(i).into()), action: EidAction::Remote{set:i&0xff}};
    let t=Instant::now();
    let mut n=0u64; let mut pt=u128::MAX; let mut ct=u128::MAX;
    for b in 0..N/1024 { let t=Instant::now(); for i in 0..1024 { k.updates.stage(&rec(b*1024+i)).unwrap(); } k.updates.publish(); pt=pt.min(t.elapsed().as_nanos());
      let t=Instant::now(); while let Some(u)=d.updates.pop().unwrap(){ if let Update::EidUpsert{prefix,..}=u { n+=prefix.len() as u64; } } ct=ct.min(t.elapsed().as_nanos()); }
    println!("single thread {:.1} ns/rec, stage {:.1} pop {:.1} ({n})", t.elapsed().as_nanos() as f64/N as f64, pt as f64/1024.0, ct as f64/1024.0);
    let t=Instant::now();
    if std::env::args().len()>1 { return; }
    let w = std::thread::spawn(move || { let mut i=0; while i<N { let batch:Vec<_>=(i..(i+64).min(N)).map(rec).collect(); let mut at=0; while at<batch.len() { at+=k.updates.push_batch(&batch[at..]); } i+=64; } k });
    let mut got=0; while got<N { if d.updates.pop().unwrap().is_some() { got+=1; } }
    println!("two threads {:.1} ns/rec", t.elapsed().as_nanos() as f64/N as f64);
    w.join().unwrap();
}
