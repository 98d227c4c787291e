# The picture in README.md: gnuplot docs/tradeoff.gp. bench/accuracy.py resnet50 --csv docs/tradeoff.csv
# writes the data with the table of accuracy.md; the authors' figures are from the LEENet project.
set datafile separator ","
set terminal svg size 640,360 font "sans,13" background rgb "white"
set output "docs/tradeoff.svg"
set xlabel "time, share of the plain network (one row, one thread)"
set ylabel "accuracy on Imagenette, %"
set xrange [0.15:1.05]
set yrange [86:100]
set grid
set key bottom right
$authors << EOD
1.00,99.18
0.97,97.88
0.89,94.77
0.49,88.10
0.40,87.88
EOD
plot "docs/tradeoff.csv" skip 1 using 2:(100*$3) smooth unique with linespoints lw 2 pt 7 title "ResNet-50 by libleenet", \
     "docs/tradeoff.csv" skip 1 using (1):(100*$4) with points pt 5 ps 1.2 title "the network without exits", \
     $authors with linespoints dt 2 pt 6 title "LEENet authors' ResNet-50 (another one)"
